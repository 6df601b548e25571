#!/bin/sh
# jiwer 4.0.0: only the space parts words, and an empty reference counts as one word.
#
# A guess from memory: words are what `str.split()` gives, so that a transcript with a line break,
# a tab or a no-break space in it is as good as one with spaces; and error rates of an empty
# reference raise, as they did until 2.x ("one or more groundtruths are empty strings").
# So it is: with the default transform "a\nb" is one word, which is wrong twice against "a b" (one
# substitution and one insertion of one word: 200 %); wer("", "a b c") is 3, wer("", "") is 0.
#
# Output seen:
#   wer('a\nb', 'a b') = 2.0
#   wer('a\tb', 'a b') = 2.0
#   wer('a\xa0b', 'a b') = 2.0
#   wer('a  b', 'a b') = 0.0
#   wer('', '') = 0
#   wer('', 'a') = 1
#   wer('', 'a b c') = 3
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet jiwer==4.0.0
"$folder/venv/bin/python" - <<'PYTHON'
from jiwer import wer

pairs = [("a\nb", "a b"), ("a\tb", "a b"), ("a\xa0b", "a b"), ("a  b", "a b"), ("", ""), ("", "a"),
         ("", "a b c")]
found = [wer(*pair) for pair in pairs]
for (reference, heard), value in zip(pairs, found):
    print(f"wer({reference!r}, {heard!r}) = {value}")
assert found == [2, 2, 2, 0, 0, 1, 3], found
PYTHON
