"""The trade's words, from where each is defined, for the pages."""

from __future__ import annotations

from connectors.web.sources import Vocabulary
from streams.papers import report_words
from streams.trade import causes, complaint_form, notices, routing, wording
from streams.trade.money_words import MONEY
from streams.trade.notice_words import SITUATIONS
from streams.trade.subjects import SUBJECTS


def vocabulary() -> Vocabulary:
    """All codes that a page may have to say."""
    return Vocabulary(
        kinds=wording.KINDS,
        causes=causes.CAUSES,
        checks={check: words[1:] for check, words in causes.CHECKS.items()},
        estimates=wording.ESTIMATE,
        actions=wording.ACTIONS,
        departments=routing.DEPARTMENTS,
        money=MONEY,
        situations={code: MONEY[code] for code in SITUATIONS},
        notice_channels={code: MONEY[code] for code in notices.CHANNELS},
        subjects={code: subject.words for code, subject in SUBJECTS.items()},
        channels=complaint_form.CHANNELS,
        stages=complaint_form.STAGES,
        impacts=complaint_form.IMPACTS,
        report_titles=report_words.TITLES,
        report_columns=report_words.COLUMNS,
        report_word=report_words.word,
    )
