"""The suffixes by which a folder, a glob or a tar is searched for audio; one list for every
command.

A file that is named is read whatever its suffix: only the content counts. Headerless samples (.raw,
.pcm, .vox, .sln, .g722, …) are left out: nothing in them says what they are.
"""

from __future__ import annotations

_PCM = (
    "wav wave bwf rf64 w64 aif aiff aifc afc au snd caf sph nist voc ircam sf paf pvf avr 8svx iff"
)
_COMPRESSED = "flac mp1 mp2 mp3 mpga ogg oga opus gsm"
# WSJ's and Switchboard's names for SPHERE files.
_CORPORA = "wv1 wv2"
_LOSSLESS = "wv tta ape tak shn alac sox"
_LOSSY = "spx aac adts ac3 eac3 ec3 dts mpc mp+ amr awb wma ra rm oma"
_FILM = (
    "mp4 m4a m4b m4r m4v mov qt 3gp 3g2 mkv mka webm weba ogv ogx avi flv f4a f4v wmv asf mpg mpeg "
    "m2p vob ts mts m2ts mxf rmvb"
)


def _suffixes(*groups: str) -> frozenset[str]:
    return frozenset(f".{name}" for names in groups for name in names.split())


AUDIO_SUFFIXES = _suffixes(_PCM, _COMPRESSED, _LOSSLESS, _LOSSY, _FILM, _CORPORA)
#: What FFmpeg alone reads, so that the extra `media` can be asked for before any work; an .ogv or
#: .ogx may be plain Ogg.
FFMPEG_SUFFIXES = _suffixes(_LOSSLESS, _LOSSY, _FILM) - _suffixes("ogv ogx")
