#!/usr/bin/env bash
# Chromium 156 (Debian's package, `apt-get install chromium`), by Playwright 1.65.2 of PyPI, run
# 2026-11-28.
#
# Who reads 16-bit samples into floats divides by 32768: soundfile and FFmpeg do. Chromium's decodeAudioData
# divides negative samples by 32768 and positive ones by 32767, so that the largest is 1: a half becomes 0.500015. 8-bit WAV is a whole percent off: 128 + 64 becomes 64/127.
# Samples of 24 bits differ by nothing that floats hold. A codec that is given such floats can give
# other codes than for the same file read elsewhere.
#
# Output seen:
#   16-bit WAV: -32768 -> -1, -16384 -> -0.5, 16384 -> 0.5000152587890625, 32767 -> 1
#   8-bit WAV: 0 -> -1, 64 -> -0.5, 192 -> 0.5039370059967041, 255 -> 1
#   24-bit WAV: 4194304 -> 0.5
set -euo pipefail
command -v chromium >/dev/null || { echo "needs Debian's chromium" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q playwright==1.65.2
"$work/venv/bin/python" - <<'PY' | tee "$work/out"
import base64
import io
import wave

from playwright.sync_api import sync_playwright


def wav(width: int, numbers: list[int]) -> str:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, width, 16_000, 0, "NONE", ""))
        for number in numbers:
            sound.writeframesraw(number.to_bytes(width, "little", signed=width > 1))
    return base64.b64encode(file.getvalue()).decode()


DECODE = """async (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const sound = await new OfflineAudioContext(1, 1, 16000).decodeAudioData(bytes.buffer);
    return [...sound.getChannelData(0)];
}"""
CASES = ((2, [-32768, -16384, 16384, 32767]), (1, [0, 64, 192, 255]), (3, [4194304]))
with sync_playwright() as player:
    browser = player.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
    page = browser.new_page()
    for width, numbers in CASES:
        floats = page.evaluate(DECODE, wav(width, numbers))
        pairs = ", ".join(f"{a} -> {b:.16g}" for a, b in zip(numbers, floats))
        print(f"{8 * width}-bit WAV: {pairs}")
    browser.close()
PY
diff - "$work/out" <<'SEEN'
16-bit WAV: -32768 -> -1, -16384 -> -0.5, 16384 -> 0.5000152587890625, 32767 -> 1
8-bit WAV: 0 -> -1, 64 -> -0.5, 192 -> 0.5039370059967041, 255 -> 1
24-bit WAV: 4194304 -> 0.5
SEEN
