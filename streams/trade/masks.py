"""Personal data shown so that staff recognise whom they speak with, and nobody else learns who that is.

Also one spelling for each telephone number and e-mail address, by which a person is found again.
"""

from __future__ import annotations

import re
import unicodedata

#: surnames of two characters (复姓), simplified and traditional
_PAIRS = (
    "欧阳歐陽司马司馬上官诸葛諸葛夏侯皇甫尉迟尉遲公孙公孫慕容令狐司徒司空司寇东方東方独孤獨孤南宫南宮"
    "长孙長孫宇文轩辕軒轅端木百里呼延申屠太史钟离鍾離濮阳濮陽淳于单于單于公羊公冶公西公良闻人聞人赫连"
    "赫連澹台澹臺宗政鲜于鮮于闾丘閭丘亓官子车子車颛孙顓孫巫马巫馬漆雕乐正樂正壤驷壤駟拓跋夹谷夾谷谷梁"
    "穀梁段干东郭東郭东门東門南门南門西门西門羊舌微生梁丘左丘第五万俟萬俟完颜完顏纳兰納蘭耶律叶赫葉赫"
    "爱新愛新仲孙仲孫叔孙叔孫屈突贺兰賀蘭相里宰父即墨达奚達奚"
)
_COMPOUND = frozenset(_PAIRS[at : at + 2] for at in range(0, len(_PAIRS), 2))
_HIDDEN = "***"
_MOBILE = re.compile(r"1[3-9]\d{9}")
_LANDLINE = re.compile(r"0(10|2\d|[3-9]\d{2})(\d{7,8})")
_EXTENSION = re.compile(r"(转|轉|分机|分機|ext\.?|x|#|,|;).*$", re.IGNORECASE)
_WORD = re.compile(r"[^\s·・•‧.,\-]+")
#: what no name of a province, city or district holds
_NAME = r"[^\s\da-zA-Z路街道巷弄号號栋棟幢楼樓室村镇鎮乡鄉,，(（#]"
_DISTRICT = re.compile(
    rf"((?:中国|中國)?(?:{_NAME}{{2,6}}?(?:省|自治区|自治區|特别行政区|特別行政區))?"
    rf"(?:{_NAME}{{2,8}}?(?:市|自治州|地区|地區|盟))?)"
    rf"((?:{_NAME}{{1,7}}?(?<![小社园園校厂廠景库庫牧])[区區县縣旗])?)"
)
_E_MAIL = re.compile(
    r"[^\s@<>()\[\],;:，；：、。]+@[^\s@<>()\[\],;:，；：、。]+\.[^\s@<>()\[\],;:，；：、。]+"
)
_IDENTITY = re.compile(r"(?<!\d)\d{17}[\dXx](?!\d)")
_CALLABLE = re.compile(
    r"(?<!\d)(?:\+\d[\d -]{6,14}\d|(?:(?:\+|00)86[ -]?)?1[3-9]\d(?:[ -]?\d{4}){2}|0\d{2,3}-\d{7,8})(?!\d)"
)


def mask_name(name: str) -> str:
    """张伟 → 张*, 欧阳娜娜 → 欧阳**, John Smith → J*** S***.

    Of a name in Chinese (or kana, hangul) of up to four characters the surname stays; longer ones are
    those of firms or transcribed, and keep one character.
    """
    words = _WORD.findall(unicodedata.normalize("NFKC", name))
    if len(words) == 1 and all(map(_ideographic, words[0])):
        word: str = words[0]
        if len(word) == 1:
            return "*"
        if len(word) > 4:
            return word[0] + _HIDDEN
        kept = 2 if len(word) > 2 and word[:2] in _COMPOUND else 1
        return word[:kept] + "*" * (len(word) - kept)
    return " ".join(word[0] + _HIDDEN for word in words)


def mask_phone(phone: str) -> str:
    """13812345678 → 138****5678, 010-12345678 → 010-****5678, +44 7911 123456 → +44****56."""
    number = normal_phone(phone)
    if not number:
        return ""
    if number.startswith("+86"):
        national = number[3:]
        if _MOBILE.fullmatch(national):
            return f"{national[:3]}****{national[-4:]}"
        area = _LANDLINE.fullmatch(f"0{national}")
        if area:
            return f"0{area[1]}-****{national[-4:]}"
    shown = number[:3] if number.startswith("+") else ""
    return f"{shown}****{number[-2:]}" if len(number) >= 7 else "****"


def mask_email(email: str) -> str:
    """anna@example.com → a***@example.com."""
    text = normal_email(email)
    if not text:
        return ""
    local, at, domain = text.rpartition("@")
    return f"{local[0]}{_HIDDEN}@{domain}" if at and local and domain else _HIDDEN


def mask_address(address: str) -> str:
    """广东省深圳市南山区科苑路1号 → 广东省深圳市南山区***; nothing where no district is named.

    Where the parts are set apart by commas and the last has no digit, that one stays.
    """
    text = unicodedata.normalize("NFKC", address).strip()
    if not text:
        return ""
    if any(map(_ideographic, text)):
        found = _DISTRICT.match(text)
        return (found[1] + found[2] if found else "") + _HIDDEN
    last = text.rpartition(",")[2].strip()
    named = "," in text and last and not any(c.isdigit() for c in last)
    return f"{_HIDDEN}, {last}" if named else _HIDDEN


def normal_phone(phone: str) -> str:
    """One spelling for a number: +86 before Chinese ones, digits alone where no country can be told.

    Without its extension; empty where there is no digit.
    """
    text = unicodedata.normalize("NFKC", phone).strip()
    text = _EXTENSION.sub("", text)
    plus = text.startswith(("+", "(+"))
    digits = "".join(c for c in text if c in "0123456789")
    if not plus and digits.startswith("00") and len(digits) > 9:
        plus, digits = True, digits[2:]
    if plus:
        # +86 (0)10 …: the trunk's zero is not dialled from abroad
        return "+" + (f"86{digits[3:]}" if digits.startswith("860") else digits)
    if _MOBILE.fullmatch(digits):
        return f"+86{digits}"
    if digits.startswith("86") and (_MOBILE.fullmatch(digits[2:])):
        return f"+{digits}"
    if _LANDLINE.fullmatch(digits):
        return f"+86{digits[1:]}"
    return digits


def normal_email(email: str) -> str:
    """One spelling for an address: without blanks, in small letters (RFC 5321 lets few servers tell them apart)."""
    return unicodedata.normalize("NFKC", email).strip().lower()


def telltale(text: str) -> str:
    """What of a person a text gives away: an e-mail address, an identity or telephone number; empty: nothing."""
    plain = unicodedata.normalize("NFKC", text)
    if _E_MAIL.search(plain):
        return "an e-mail address"
    if _IDENTITY.search(plain):
        return "an identity card's number"
    return "a telephone number" if _CALLABLE.search(plain) else ""


def redact(text: str) -> str:
    """The text without what ``telltale`` finds, for what can never be taken back."""
    for pattern in (_E_MAIL, _IDENTITY, _CALLABLE):
        text = pattern.sub("[…]", text)
    return text


def substantial(reason: str) -> bool:
    """Whether a reason says something: four different Chinese characters, or two words of eight letters in all."""
    letters = [c for c in unicodedata.normalize("NFKC", reason) if c.isalpha()]
    chinese = {c for c in letters if _ideographic(c)}
    if chinese:
        return 2 * len(chinese) + len(set(letters) - chinese) >= 8
    words = [word for word in reason.split() if any(c.isalpha() for c in word)]
    return len(words) >= 2 and len(letters) >= 8 and len(set(letters)) >= 5


def _ideographic(c: str) -> bool:
    """Chinese characters, kana and hangul: scripts that set no blanks within a name."""
    return unicodedata.name(c, "").startswith(("CJK UNIFIED", "CJK COMPAT", "HANGUL", "HIRAGANA", "KATAKANA"))
