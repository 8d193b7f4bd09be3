#!/bin/sh
# langcodes standardizes two tags that BCP 47 calls equal, `cmn` and `zh-cmn`, to different ones.
#
# The IANA registry gives the extended language `cmn` (prefix `zh`) the preferred value `cmn`, so the
# canonical form of `zh-cmn` is `cmn` (RFC 5646, section 4.5). `standardize_tag` drops the subtag
# instead, for this language alone: `zh-yue` becomes `yue`, as it should. By its defaults a data set
# with both spellings has two languages; `macro=True` gives one, `zh`.
#
# Seen with: langcodes 3.5.1, Python 3.11.
# Seen: cmn -> cmn, zh-cmn -> zh, yue -> yue, zh-yue -> yue; with macro=True: zh, zh, yue, yue.
# Expected: the same tag for `cmn` and `zh-cmn`.
# Exit: 0 = still so; 1 = behaves otherwise now; 2 = could not be tried.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env || exit 2
env/bin/pip install --quiet "langcodes==3.5.1" || exit 2
cat > try.py <<'PY'
from langcodes import standardize_tag

TAGS = ("cmn", "zh-cmn", "yue", "zh-yue")
plain = [standardize_tag(tag) for tag in TAGS]
macro = [standardize_tag(tag, macro=True) for tag in TAGS]
for tag, first, second in zip(TAGS, plain, macro):
    print(f"{tag} -> {first}; with macro=True: {second}")
so = plain == ["cmn", "zh", "yue", "yue"] and macro == ["zh", "zh", "yue", "yue"]
raise SystemExit(0 if so else 1)
PY
env/bin/python try.py
