#!/usr/bin/env bash
# Digits of a number of London or Paris are a valid number of Germany to libphonenumber's metadata.
#
# Trunks often send E.164 without its "+". Read with Germany as the default region, 44 20 7946 0018 and
# 33 6 12 34 56 78 become +49 442079460018 and +49 33612345678, both valid and fixed lines: the pattern for
# fixed lines of Germany takes almost any digits, whose lengths differ from place to place. A number of New York
# is not valid there. So "valid" says nothing of whether a prefix was left out.
#
# Runs the PyPI package phonenumbers, and fails if that changes.
set -euo pipefail

readonly version=9.0.43
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check "phonenumbers==$version"
"$place/venv/bin/python" - <<'PYTHON'
import phonenumbers

print("phonenumbers", phonenumbers.__version__)
expected = {
    "442079460018": ("+49442079460018", True),
    "33612345678": ("+4933612345678", True),
    "12125550123": ("+4912125550123", False),
}
for digits, (e164, valid) in expected.items():
    number = phonenumbers.parse(digits, "DE")
    read = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    is_valid = phonenumbers.is_valid_number(number)
    fixed = phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.FIXED_LINE
    print(f"{digits} is read as {read}, valid: {is_valid}, a fixed line: {fixed}")
    assert (read, is_valid, fixed) == (e164, valid, valid), digits
PYTHON
