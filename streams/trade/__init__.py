"""The trade: tickets, complaints, checks, estimates, verdicts: values and the verbs that change them. No I/O."""
