"""What messages say, a table per language. The code itself stands in one only where the operator allows that."""

from __future__ import annotations

from typing import Final

RIGHT_TO_LEFT: Final = frozenset({"ar"})
DEFAULT: Final = "en"

MESSAGES: Final[dict[str, dict[str, str]]] = {
    "en": {
        "subject": "{product} for you",
        "hello": "Hello {name},",
        "ready": "{product} is ready for you.",
        "open": "Open it here:",
        "button": "Open",
        "codes": "Your code:",
        "picture": "The code, to be scanned",
        "pin": "You need the PIN that the sender gave you.",
        "keep": "Whoever has this message can use it. Keep it to yourself.",
        "test": "Test: this has no value.",
    },
    "fr": {
        "subject": "{product} pour vous",
        "hello": "Bonjour {name},",
        "ready": "{product} vous attend.",
        "open": "Ouvrez-le ici :",
        "button": "Ouvrir",
        "codes": "Votre code :",
        "picture": "Le code, à scanner",
        "pin": "Il vous faut le code PIN que l’expéditeur vous a donné.",
        "keep": "Quiconque a ce message peut l’utiliser. Gardez-le pour vous.",
        "test": "Test : ceci n’a aucune valeur.",
    },
    "de": {
        "subject": "{product} für Sie",
        "hello": "Hallo {name},",
        "ready": "{product} liegt für Sie bereit.",
        "open": "Hier öffnen:",
        "button": "Öffnen",
        "codes": "Ihr Code:",
        "picture": "Der Code zum Scannen",
        "pin": "Sie brauchen die PIN, die der Absender Ihnen gegeben hat.",
        "keep": "Wer diese Nachricht hat, kann ihn einlösen. Behalten Sie sie für sich.",
        "test": "Test: Dies hat keinen Wert.",
    },
    "es": {
        "subject": "{product} para usted",
        "hello": "Hola, {name}:",
        "ready": "{product} está listo para usted.",
        "open": "Ábralo aquí:",
        "button": "Abrir",
        "codes": "Su código:",
        "picture": "El código para escanear",
        "pin": "Necesita el PIN que le dio el remitente.",
        "keep": "Quien tenga este mensaje puede usarlo. Guárdelo para usted.",
        "test": "Prueba: esto no tiene valor.",
    },
    "ar": {
        "subject": "{product} لك",
        "hello": "مرحبًا {name}،",
        "ready": "{product} جاهز لك.",
        "open": "افتحه هنا:",
        "button": "فتح",
        "codes": "رمزك:",
        "picture": "الرمز للمسح الضوئي",
        "pin": "ستحتاج إلى الرقم السري الذي أعطاك إياه المرسل.",
        "keep": "كل من لديه هذه الرسالة يمكنه استخدامها. احتفظ بها لنفسك.",
        "test": "تجربة: هذا بلا قيمة.",
    },
    "hi": {
        "subject": "आपके लिए {product}",
        "hello": "नमस्ते {name},",
        "ready": "{product} आपके लिए तैयार है।",
        "open": "यहाँ खोलें:",
        "button": "खोलें",
        "codes": "आपका कोड:",
        "picture": "स्कैन करने के लिए कोड",
        "pin": "आपको वह पिन चाहिए जो भेजने वाले ने दिया है।",
        "keep": "जिसके पास यह संदेश है वह इसे इस्तेमाल कर सकता है। इसे अपने पास रखें।",
        "test": "परीक्षण: इसका कोई मूल्य नहीं है।",
    },
    "ru": {
        "subject": "{product} для вас",
        "hello": "Здравствуйте, {name}!",
        "ready": "{product} ждёт вас.",
        "open": "Откройте здесь:",
        "button": "Открыть",
        "codes": "Ваш код:",
        "picture": "Код для сканирования",
        "pin": "Понадобится PIN-код, который сообщил отправитель.",
        "keep": "Кто видит это сообщение, может им воспользоваться. Никому его не показывайте.",
        "test": "Тест: это ничего не стоит.",
    },
}


def message_language(wanted: str | None) -> str:
    """The language of a message: the one wanted if we speak it."""
    base = (wanted or "").lower().partition("-")[0]
    return base if base in MESSAGES else DEFAULT
