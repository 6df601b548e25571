"""What short forms stand for."""

from __future__ import annotations


def table(lines: str) -> dict[str, str]:
    """Entries `short=long`, separated by semicolons, as a dictionary."""
    entries = (entry.partition("=") for entry in " ".join(lines.split()).split(";"))
    return {short.strip(): long.strip() for short, _, long in entries}


MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
MONTH_NUMBERS = {
    **{name.lower(): number for number, name in enumerate(MONTHS, 1)},
    **{name[:3].lower(): number for number, name in enumerate(MONTHS, 1)},
    "sept": 9,
}
DAYS = table(
    """
    mon=Monday; tue=Tuesday; tues=Tuesday; wed=Wednesday; thu=Thursday; thur=Thursday;
    thurs=Thursday; fri=Friday; sat=Saturday; sun=Sunday
    """
)

#: Before a name; their period never ends a sentence.
TITLES = table(
    """
    Mr=Mister; Mrs=Missus; Ms=Miz; Mx=Mix; Dr=Doctor; Prof=Professor; St=Saint; Mt=Mount; Ft=Fort;
    Gen=General; Gov=Governor; Sen=Senator; Rep=Representative; Capt=Captain; Lt=Lieutenant;
    Col=Colonel; Sgt=Sergeant; Cpl=Corporal; Cmdr=Commander; Maj=Major; Adm=Admiral; Rev=Reverend;
    Hon=Honorable; Pres=President; Fr=Father; Msgr=Monsignor; Messrs=Messieurs; Pvt=Private;
    Supt=Superintendent
    """
)
#: Of those, what is written without a period, too.
BARE_TITLES = ("Mr", "Mrs", "Ms", "Dr", "Prof", "St", "Mt")
#: After a name or a number of a street.
STREETS = table(
    """
    St=Street; Ave=Avenue; Blvd=Boulevard; Rd=Road; Ln=Lane; Dr=Drive; Hwy=Highway; Pkwy=Parkway;
    Sq=Square; Ct=Court; Pl=Place
    """
)
#: With a period that is theirs; it ends the sentence, too, where one ends.
ABBREVIATIONS = table(
    """
    e.g=for example; i.e=that is; etc=et cetera; et al=et al; cf=compare; vs=versus; viz=namely;
    ca=circa; approx=approximately; est=established; incl=including; excl=excluding;
    esp=especially; misc=miscellaneous; max=maximum; min=minimum; avg=average; Jr=Junior;
    Sr=Senior; Esq=Esquire; Inc=Incorporated; Ltd=Limited; Corp=Corporation; Co=Company;
    Bros=Brothers; Dept=Department; dept=department; Univ=University; Assn=Association;
    Govt=Government; govt=government; Apt=Apartment; Bldg=Building; Ste=Suite; Fig=Figure;
    fig=figure; Figs=Figures; figs=figures; Vol=Volume; vol=volume; Ch=Chapter; ch=chapter;
    Sec=Section; sec=section;
    Eq=Equation; eq=equation; pp=pages; p=page; ed=edition; eds=editors; tel=telephone;
    Tel=Telephone; ext=extension; Ext=Extension; Nos=Numbers; nos=numbers; No=Number; no=number;
    a.k.a=also known as; w.r.t=with respect to; P.S=PS; R.S.V.P=RSVP
    """
) | {
    **{name[:3]: name for name in MONTHS if name != "May"},
    "Sept": "September",
    **{short.capitalize(): name for short, name in DAYS.items()},
}
#: Only before a number; else they are words: "no.", "fig.", "sat.".
BEFORE_NUMBERS = frozenset(
    (
        *(
            "No",
            "no",
            "Nos",
            "nos",
            "p",
            "pp",
            "ch",
            "Ch",
            "sec",
            "Sec",
            "fig",
            "Fig",
            "vol",
            "Vol",
        ),
        *("eq", "Eq", "Jan", "Mar", "Jun", "Jul", "Sep", "Sat", "Sun", "Ste", "Apt"),
        *("ext", "Ext", "ca", "ed", "tel", "Tel"),
    )
)
#: Of those, what a sentence can end with, for what follows is no name that belongs to it.
LAST_WORDS = frozenset(
    (
        *("etc", "Jr", "Sr", "Esq", "Inc", "Ltd", "Corp", "Co", "Bros", "et al", "Dept", "dept"),
        *("Govt", "govt", "Bldg", "max", "min", "avg", "P.S", "R.S.V.P"),
    )
)
#: Without a period.
BARE = table(
    """
    w/o=without; w/=with; and/or=and or; c/o=care of; n/a=not applicable; N/A=not applicable;
    km/h=kilometers per hour; 24/7=twenty-four seven; 9/11=nine eleven; C++=C plus plus;
    C#=C sharp; F#=F sharp; A+=A plus; B+=B plus; i/o=IO; I/O=IO; TCP/IP=TCP IP; &c=et cetera;
    AT&T=A-T and T
    """
)

BARE_WORDS = {"vs": "versus", "aka": "also known as", "AKA": "also known as"}

#: Name of one; name of many where it is not that with an s.
UNITS = {
    short: (one, many or f"{one}s")
    for short, names in table(
        """
        km=kilometer; cm=centimeter; mm=millimeter; m=meter; nm=nanometer; mcm=micrometer; mi=mile;
        yd=yard; yds=yard; ft=foot/feet; inch=inch/inches; kg=kilogram; g=gram; mg=milligram;
        mcg=microgram; lb=pound; lbs=pound; oz=ounce; t=ton; l=liter; L=liter; ml=milliliter;
        mL=milliliter; mcL=microliter; cl=centiliter; dl=deciliter; gal=gallon; pt=pint;
        tbsp=tablespoon; tsp=teaspoon; ha=hectare; s=second; sec=second; secs=second; min=minute;
        mins=minute; h=hour; hr=hour; hrs=hour; ms=millisecond; mcs=microsecond; ns=nanosecond;
        yr=year; yrs=year; wk=week; mo=month; Hz=hertz/hertz; kHz=kilohertz/kilohertz;
        MHz=megahertz/megahertz; GHz=gigahertz/gigahertz; KB=kilobyte; kB=kilobyte; MB=megabyte;
        GB=gigabyte; TB=terabyte; PB=petabyte; KiB=kibibyte; MiB=mebibyte; GiB=gibibyte;
        kbps=kilobit per second/kilobits per second; Mbps=megabit per second/megabits per second;
        Gbps=gigabit per second/gigabits per second; kbit=kilobit; Mbit=megabit; Gbit=gigabit;
        bit=bit; W=watt; kW=kilowatt; MW=megawatt; GW=gigawatt; Wh=watt hour; kWh=kilowatt hour;
        MWh=megawatt hour; V=volt; kV=kilovolt; mV=millivolt; mA=milliamp; mAh=milliamp hour;
        ohm=ohm; kohm=kilohm; Mohm=megohm; J=joule; kJ=kilojoule; kcal=kilocalorie; cal=calorie;
        N=newton;
        Pa=pascal; kPa=kilopascal; hPa=hectopascal; psi=PSI/PSI; bar=bar; dB=decibel;
        mph=mile per hour/miles per hour; kmh=kilometer per hour/kilometers per hour;
        kph=kilometer per hour/kilometers per hour; fps=frame per second/frames per second;
        rpm=RPM/RPM; dpi=DPI/DPI; px=pixel; cc=cubic centimeter; hp=horsepower/horsepower;
        ppm=part per million/parts per million; sq ft=square foot/square feet; sq mi=square mile;
        sq m=square meter; fl oz=fluid ounce; sqft=square foot/square feet; pct=percent/percent;
        K=kelvin; mol=mole
        """
    ).items()
    for one, _, many in [names.partition("/")]
}
#: Of the units of one letter, those that are units without a space, too: 5m, but not 5K.
STUCK = frozenset("mghsVWL")

#: Sign or code, one, many, one hundredth of it, many of those.
CURRENCIES: dict[str, tuple[str, str, str, str]] = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "US$": ("US dollar", "US dollars", "cent", "cents"),
    "C$": ("Canadian dollar", "Canadian dollars", "cent", "cents"),
    "A$": ("Australian dollar", "Australian dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "", ""),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "Rs": ("rupee", "rupees", "paisa", "paise"),
    "₩": ("won", "won", "", ""),
    "₽": ("ruble", "rubles", "kopek", "kopeks"),
    "₿": ("bitcoin", "bitcoins", "", ""),
    "USD": ("US dollar", "US dollars", "cent", "cents"),
    "CAD": ("Canadian dollar", "Canadian dollars", "cent", "cents"),
    "AUD": ("Australian dollar", "Australian dollars", "cent", "cents"),
    "EUR": ("euro", "euros", "cent", "cents"),
    "GBP": ("pound", "pounds", "penny", "pence"),
    "JPY": ("yen", "yen", "", ""),
    "CNY": ("yuan", "yuan", "", ""),
    "CHF": ("Swiss franc", "Swiss francs", "centime", "centimes"),
    "INR": ("rupee", "rupees", "paisa", "paise"),
}
SCALES = table(
    """
    k=thousand; K=thousand; m=million; M=million; mn=million; b=billion; B=billion; bn=billion;
    T=trillion; tn=trillion; hundred=hundred; thousand=thousand; million=million; billion=billion;
    trillion=trillion; dozen=dozen
    """
)

#: Whom a Roman numeral follows as an ordinal, and what it follows as a number.
RULERS = frozenset(
    (
        *("Henry", "Louis", "Elizabeth", "George", "Edward", "Richard", "Charles", "James"),
        *("William", "Philip", "Pius", "Paul", "Benedict", "Leo", "Gregory", "Innocent"),
        *("Urban", "Clement", "Alexander", "Catherine", "Nicholas", "Peter", "Frederick"),
        *("Napoleon", "Wilhelm", "Friedrich", "Mary", "Ptolemy", "Ramses", "Xerxes", "Darius"),
        *("Ferdinand", "Francis", "Joseph", "Leopold", "Otto", "Rudolf", "Christian", "Gustav"),
        *("Harald", "Olaf", "Haakon", "Carl", "Karl", "Juan", "Pedro", "Alfonso", "Ivan"),
        *("Cleopatra", "Margaret", "Isabella", "Victoria", "Constantine", "Theodosius", "John"),
    )
)
NUMBERED = frozenset(
    (
        *("chapter", "part", "volume", "book", "section", "article", "appendix", "act", "scene"),
        *("phase", "type", "class", "level", "war", "bowl", "title", "stage", "grade", "unit"),
        *("table", "figure", "canto", "psalm", "mark", "version", "series", "episode", "world"),
        *("schedule", "annex", "category", "tier", "rocky", "lesson", "exercise", "symphony"),
    )
)
TOP_LEVEL_DOMAINS = (
    *("com", "org", "net", "edu", "gov", "mil", "info", "biz", "dev", "app", "io", "ai", "co"),
    *("uk", "de", "fr", "us", "ca", "au", "eu", "es", "it", "nl", "ch", "jp", "tv", "me", "ly"),
)
FILE_ENDINGS = (
    *("py", "txt", "json", "pdf", "csv", "html", "xml", "wav", "mp3", "mp4", "jpg", "jpeg"),
    *("png", "gif", "zip", "exe", "doc", "docx", "xlsx", "md", "toml", "yaml", "yml", "sh"),
    *("tar", "gz", "js", "cpp", "flac", "ogg", "safetensors", "parquet"),
)
#: How parts of addresses are read that are neither words nor bare letters.
ADDRESS_WORDS = table(
    """
    www=WWW; http=HTTP; https=HTTPS; ftp=FTP; html=HTML; io=IO; ai=AI; uk=UK; de=DE; fr=FR; us=US;
    ca=CA; au=AU; eu=EU; es=ES; it=IT; nl=NL; ch=CH; jp=JP; tv=TV; me=me; id=ID; py=PY; md=MD;
    js=JS; exe=EXE
    """
)
ADDRESS_SIGNS = {
    ".": "dot",
    "@": "at",
    "-": "dash",
    "_": "underscore",
    "/": "slash",
    ":": "colon",
    "?": "question mark",
    "=": "equals",
    "&": "and",
    "#": "hash",
    "+": "plus",
    "%": "percent",
    "~": "tilde",
    ",": "comma",
    ";": "semicolon",
    "!": "exclamation mark",
    "*": "star",
    "$": "dollar",
    "'": "apostrophe",
    "(": "open parenthesis",
    ")": "close parenthesis",
    "\\": "backslash",
    "^": "caret",
    "|": "bar",
    "[": "open bracket",
    "]": "close bracket",
}
