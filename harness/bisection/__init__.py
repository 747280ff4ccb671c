"""Since when: the line of releases or commits (`line`), which of them to measure (`search`), and doing it (`hunt`)."""
