"""What goes into the data of `nano`: one entry per collection of speech, as the packages have
it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nano_data import games, transcripts

Role = Literal["train", "unheard", "test"]

NOTHING = r"(?!)"


@dataclass(frozen=True)
class Source:
    """One collection of speech inside one Debian package.

    `files` and `skip` are regular expressions on the path below `root`. Where language or speaker
    vary from file to file, `files` has a group of that name, and the field says what holds where
    the group is empty.
    """

    name: str
    package: str
    root: str
    files: str
    language: str
    speaker: str
    licence: str
    credit: str
    role: Role = "train"
    skip: str = NOTHING
    text_package: str = ""
    text_files: str = ""
    text_reader: transcripts.Reader | None = None
    # Every so many-th recording is held out for validation; 0 holds nothing out.
    hold_out_every: int = 0
    # Hz; recordings of less are left out.
    lowest_rate: int = 16_000
    # What takes the recordings out of a larger file, given the folder `root`.
    unpack: Callable[[Path], None] | None = None


def _asterisk(
    language: str, folder: str, speaker: str, licence: str, credit: str, role: Role
) -> Source:
    """One language of the prompts of the Asterisk telephone exchange."""
    return Source(
        name=f"asterisk-{language}",
        package=f"asterisk-core-sounds-{language}-g722",
        root=f"usr/share/asterisk/sounds/{folder}",
        files=r".+\.g722",
        # Signals, and a joke recording of monkeys.
        skip=r"silence/.+|(beep|beeperr|(a|de)scending-2tone|confbridge-(join|leave)|tt-monkeys)\.g722",
        language=language,
        speaker=speaker,
        licence=licence,
        credit=credit,
        role=role,
        text_package=f"asterisk-core-sounds-{language}",
        text_files="usr/share/doc/*/core-sounds-*.txt.gz",
        text_reader=transcripts.asterisk,
    )


ALLISON = "Allison Smith (theivrvoice.com), paid for by Digium"
JUNE = (
    "June Wallack (junewallack.com), translated by Clod Patry, Kristopher Lalletti and June "
    "Wallack, "
    "paid for by Digium, Unlimitel and BGM Informatique"
)
CARLO = "Carlo Flora (carloflora.com, segreterietelefoniche.it), translated by Silvia Petrin"
MAXIM = "provided by Maxim Topal (ivrvoice.ru)"


def _telephone(
    name: str, package: str, root: str, files: str, language: str, licence: str, credit: str
) -> Source:
    """Prompts recorded for a telephone exchange at 8 kHz: a whole kind of recording that is never
    trained on.
    """
    return Source(
        name=f"telephone-{name}",
        package=package,
        root=root,
        files=files,
        language=language,
        speaker=f"telephone-{name}",
        licence=licence,
        credit=credit,
        role="unheard",
        skip=r"(.+/)?(silence/.+|beep.*|.*tone.*)",
        lowest_rate=8_000,
    )


def _fillets(language: str) -> Source:
    """A dubbing of the game Fish Fillets; `m` (small fish) or `v` (big fish) in a name say who
    speaks.
    """
    return Source(
        name=f"fillets-{language}",
        package=f"fillets-ng-data-{language}",
        root="usr/share/games/fillets-ng/sound",
        files=r".+/(?:(?:[^/]*[-_])?(?P<speaker>[mv])(?:[-_][^/]*)?|[^/]+)\.ogg",
        # Screams, and one recording of nothing but rumble.
        skip=r".+/(zd2-x-krik\d|bar_v_fotka)\.ogg",
        language=language,
        speaker=f"fillets-{language}-others",
        licence="GPL-2",
        credit="ALTAR interactive and the Fish Fillets NG authors (fillets.sourceforge.net)",
        text_package="fillets-ng-data",
        text_files=f"usr/share/games/fillets-ng/script/*/*dialogs_{language}.lua",
        text_reader=transcripts.fillets,
    )


def _tuxpaint(name: str, files: str, language: str, role: Role, skip: str = NOTHING) -> Source:
    """Descriptions of the stamps of the drawing program Tux Paint, spoken by volunteers, often
    noisy.
    """
    return Source(
        name=name,
        package="tuxpaint-stamps-default",
        root="usr/share/tuxpaint/stamps",
        files=files,
        skip=skip,
        language=language,
        speaker=f"tuxpaint-{language}",
        licence="GPL-2",
        credit="the Tux Paint authors and volunteers (Bill Kendrick and others, tuxpaint.org)",
        role=role,
        text_package="tuxpaint-stamps-default",
        text_files="usr/share/tuxpaint/stamps/**/*.txt",
        text_reader=transcripts.tuxpaint,
    )


# The test set comes first: where two files are the same, the first one listed keeps the recording.
SOURCES = (
    _asterisk("it", "it_IT_m_Carlo", "carlo", "CC-BY-3.0", CARLO, "test"),
    _asterisk("ru", "ru_RU_f_IvrvoiceRU", "ivrvoice-ru", "CC-BY-3.0", MAXIM, "test"),
    _tuxpaint("tuxpaint-fr", r".+_desc_fr\.ogg", "fr", "test"),
    _tuxpaint("tuxpaint-el", r".+_desc_el\.ogg", "el", "test"),
    Source(
        name="steel-sky",
        package="beneath-a-steel-sky",
        root="usr/share/scummvm/beneath-a-steel-sky",
        files=r"lines/\d+\.wav",
        language="en",
        speaker="steel-sky",
        licence="Beneath-a-Steel-Sky-License",
        credit="Revolution Software Ltd (revolution.co.uk), British actors",
        role="unheard",
        lowest_rate=11_025,
        unpack=games.steel_sky,
    ),
    _telephone(
        "it",
        "asterisk-prompt-it-menardi-wav",
        "usr/share/asterisk/sounds/it_IT_f_Menardi",
        r".+\.wav",
        "it",
        "CC-BY-SA-3.0",
        "Marco Menardi and Paola Dal Zot (voip.ammdomus.it), who made the sound files",
    ),
    _telephone(
        "fr",
        "asterisk-prompt-fr-armelle",
        "usr/share/asterisk/sounds",
        r"(.+/)?fr/.+\.gsm",
        "fr",
        "BSD-3-Clause",
        "Armelle Desjardins, Michel Gutierrez",
    ),
    _telephone(
        "es",
        "asterisk-prompt-es-co",
        "usr/share/asterisk/sounds",
        r"(.+/)?es/.+\.gsm",
        "es",
        "GPL-2",
        "Avatar Ltda. / July E. Jiménez",
    ),
    Source(
        name="festvox-ru",
        package="festvox-ru",
        root="usr/share/festival/voices/russian/msu_ru_nsh_clunits/wav",
        files=r".+\.wav",
        language="ru",
        speaker="nsh",
        licence="BSD-like",
        credit="Nickolay V. Shmyrev, 2005",
        text_package="festvox-ru",
        text_files="usr/share/festival/voices/russian/msu_ru_nsh_clunits/etc/txt.done.data",
        text_reader=transcripts.festvox,
        hold_out_every=20,
    ),
    _asterisk("en", "en_US_f_Allison", "allison", "CC-BY-SA-3.0", ALLISON, "train"),
    _asterisk("es", "es_MX_f_Allison", "allison", "CC-BY-SA-3.0", ALLISON, "train"),
    _asterisk("fr", "fr_CA_f_June", "june", "CC-BY-SA-3.0", JUNE, "train"),
    _tuxpaint(
        "tuxpaint",
        # One file of the package ends in `.ogg.ogg`; what names no language is English.
        r".+_desc(?:_(?P<speaker>(?P<language>[A-Za-z_]+)))?\.(?:ogg|wav|ogg\.ogg)",
        "en",
        "train",
        skip=r".+_desc_(fr|el|nn)\..+",
    ),
    _fillets("cs"),
    _fillets("nl"),
    Source(
        name="amazon-queen",
        package="flight-of-the-amazon-queen",
        root="usr/share/scummvm/flight-of-the-amazon-queen",
        # The hero, then who he talks to by scene; what ends in SSSS is no speech.
        files=r"lines/(?:[0-9A-Z]{6}J\w|JOE\d+"
        r"|(?P<speaker>C\d\d|MIK|TOM|[0-9A-F]{2})(?:[A-Z]_\d{3}|_\d+|[0-9A-Z]{4}P\w))\.mp3",
        language="en",
        speaker="amazon-queen-joe",
        licence="Flight-of-the-Amazon-Queen-License",
        credit="John Passfield and Steven Stamatiadis, and the actors of the game",
        lowest_rate=11_025,
        unpack=games.amazon_queen,
    ),
    Source(
        name="klettres",
        package="klettres-data",
        root="usr/share/klettres",
        files=r"(?P<speaker>(?P<language>\w+))/(alpha|syllab)/.+\.ogg",
        # The languages of the test set stay out, lest one of its volunteers is heard here too.
        skip=r"(it|fr|ru|el)/.+",
        language="",
        speaker="",
        licence="GPL-2+",
        credit="the KLettres authors and volunteers (Anne-Marie Mahfouf and others, KDE)",
    ),
    Source(
        name="ktuberling",
        package="ktuberling-data",
        root="usr/share/ktuberling/sounds",
        files=r"(?P<speaker>(?P<language>[a-z]+))(@\w+)?/.+\.(?:ogg|wav|opus)",
        skip=r"(it|fr|ru|el|nn)/.+",
        language="",
        speaker="",
        licence="GPL-2+",
        credit="the KTuberling authors and volunteers (Eric Bischoff, Albert Astals Cid and others,"
        " KDE)",
    ),
    Source(
        name="ktuberling-nn",
        package="ktuberling-data",
        root="usr/share/ktuberling/sounds/nn",
        files=r".+\.opus",
        language="nn",
        speaker="ktuberling-nn",
        # As the files' own tags say.
        licence="GPL-3+",
        credit="Karl Ove Hufthammer, Øystein Steffensen-Alværvik",
    ),
    Source(
        name="gcin-voice-liu",
        package="gcin-voice",
        root="usr/share/gcin-voice/ogg",
        files=r".+/3\.ogg",
        language="zh",
        speaker="gcin-voice-liu",
        licence="GPL-3 or LGPL-3",
        credit="Edward Der-Hua Liu, 2014",
    ),
    Source(
        name="gcin-voice-luo",
        package="gcin-voice",
        root="usr/share/gcin-voice/ogg",
        files=r".+/5\.ogg",
        language="zh",
        speaker="gcin-voice-luo",
        licence="CC-BY-3.0",
        credit="ChionMeilin, with the voice of Chu Lo",
    ),
    Source(
        name="hedgewars",
        package="hedgewars-data",
        root="usr/share/games/hedgewars/Data/Sounds/voices",
        files=r"(?P<speaker>[A-Za-z]+(?:_(?P<language>[a-z]{2}))?)/.+\.ogg",
        # A voice passed through an effect; coughs and moans.
        skip=r"Robot/.+|.+/Poison(Cough|Moan)\.ogg",
        language="en",
        speaker="",
        licence="GFDL-1.3",
        credit="Andrey Korotaev and the Hedgewars Project (hedgewars.org)",
    ),
)
