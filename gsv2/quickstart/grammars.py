"""Grammars of the demo corpus, one a language: small ones of our own, written to be short.

Slots never inflect each other: every combination of words is a correct sentence.
"""

from __future__ import annotations

from gsv2.quickstart.sentences import Grammar

ENGLISH = Grammar(
    language="en",
    espeak="en-us",
    script="Latn",
    tempo=1.0,
    templates=(
        "{name} has {number} {colour} {things}.",
        "The train to {city} leaves at {hour} {day}.",
        "It will be {weather} in {city} {day}.",
        "{name} will come {day} at {hour}.",
    ),
    slots={
        "name": ("Anna", "Omar", "Mina", "Peter", "Lucy"),
        "number": ("two", "three", "four", "five", "seven"),
        "colour": ("red", "blue", "green", "yellow"),
        "things": ("boats", "books", "apples", "lamps", "hats"),
        "city": ("Rome", "Paris", "Cairo", "Delhi"),
        "day": ("on Monday", "on Friday", "today", "tomorrow"),
        "weather": ("sunny", "windy", "cold", "warm"),
        "hour": ("three", "five", "six", "nine", "ten"),
    },
)

SPANISH = Grammar(
    language="es",
    espeak="es",
    script="Latn",
    tempo=1.0,
    templates=(
        "{name} tiene {number} {things} {colour}.",
        "El tren a {city} sale {day} a las {hour}.",
        "Hará {weather} en {city} {day}.",
        "{name} vendrá {day} a las {hour}.",
    ),
    slots={
        "name": ("Ana", "Omar", "Mina", "Pedro", "Lucía"),
        "number": ("dos", "tres", "cuatro", "cinco", "siete"),
        "colour": ("rojos", "azules", "verdes", "negros"),
        "things": ("barcos", "libros", "limones", "relojes", "sombreros"),
        "city": ("Roma", "París", "Lima", "Delhi"),
        "day": ("el lunes", "el viernes", "hoy", "mañana"),
        "weather": ("sol", "viento", "frío", "calor"),
        "hour": ("tres", "cinco", "seis", "nueve", "diez"),
    },
)

RUSSIAN = Grammar(
    language="ru",
    espeak="ru",
    script="Cyrl",
    tempo=0.9,
    templates=(
        "{name} видит {number} {colour} {things}.",
        "Поезд в {city} будет {day} в {hour}.",
        "В {place} {day} будет {weather}.",
        "{name} придёт {day} в {hour}.",
    ),
    slots={
        "name": ("Анна", "Омар", "Мина", "Пётр", "Лена"),
        "number": ("пять", "шесть", "семь", "девять", "десять"),
        "colour": ("красных", "синих", "белых", "жёлтых"),
        "things": ("лодок", "книг", "яблок", "ламп", "шляп"),
        "city": ("Рим", "Париж", "Каир", "Дели"),
        "place": ("Риме", "Париже", "Каире", "Дели"),
        "day": ("в среду", "в пятницу", "сегодня", "завтра"),
        "weather": ("тепло", "холодно", "солнечно", "ветрено"),
        "hour": ("пять", "семь", "девять", "десять"),
    },
)

HINDI = Grammar(
    language="hi",
    espeak="hi",
    script="Deva",
    tempo=0.85,
    templates=(
        "{name} को {colour} {thing} चाहिए।",
        "ट्रेन {day} {hour} बजे आएगी।",
        "{city} में {day} {weather} है।",
        "{name} {day} {hour} बजे आएँगे।",
    ),
    slots={
        "name": ("मीरा", "रवि", "अमर", "सीता", "मोहन"),
        "colour": ("लाल", "नीला", "सफ़ेद", "काला"),
        "thing": ("फूल", "घर", "जूता", "कोट", "छाता"),
        "city": ("रोम", "पेरिस", "दिल्ली", "पटना"),
        "day": ("आज", "कल", "परसों", "रात को"),
        "weather": ("गर्मी", "ठंड", "धूप", "बारिश"),
        "hour": ("दो", "तीन", "पाँच", "नौ", "दस"),
    },
)

KOREAN = Grammar(
    language="ko",
    espeak="ko",
    script="Hang",
    tempo=1.0,
    templates=(
        "{name} {colour} {thing} 사요.",
        "{city} 기차는 {day} {hour}에 가요.",
        "{day} {city} 날씨는 {weather}.",
        "{name} {day} {hour}에 와요.",
    ),
    slots={
        "name": ("안나는", "민수는", "지민은", "영희는", "하나는"),
        "colour": ("빨간", "파란", "노란", "하얀"),
        "thing": ("모자를", "책을", "배를", "사과를", "꽃을"),
        "city": ("서울", "부산", "파리", "로마"),
        "day": ("오늘", "내일", "월요일", "금요일"),
        "weather": ("더워요", "추워요", "맑아요", "흐려요"),
        "hour": ("세 시", "다섯 시", "여섯 시", "아홉 시", "열 시"),
    },
)

CHINESE = Grammar(
    language="zh",
    espeak="cmn",
    script="Hani",
    tempo=1.2,
    templates=(
        "{name}买了{number}个{colour}{thing}。",
        "去{city}的火车{day}{hour}点开。",
        "{city}{day}的天气会{weather}。",
        "{name}{day}{hour}点来我家。",
    ),
    slots={
        "name": ("安娜", "小明", "李华", "王芳", "大卫"),
        "number": ("两", "三", "五", "七", "九"),
        "colour": ("红", "蓝", "绿", "黄"),
        "thing": ("苹果", "杯子", "箱子", "球", "包"),
        "city": ("北京", "上海", "巴黎", "罗马"),
        "day": ("今天", "明天", "周一", "周五"),
        "weather": ("很热", "很冷", "很好", "很坏"),
        "hour": ("三", "五", "六", "九", "十"),
    },
)

GRAMMARS: tuple[Grammar, ...] = (
    ENGLISH,
    SPANISH,
    RUSSIAN,
    HINDI,
    KOREAN,
    CHINESE,
)
"""Every language of the demo corpus."""
