"""The claim page's own words, a table per language; a product's texts come from the catalog."""

from __future__ import annotations

from typing import Final

RIGHT_TO_LEFT: Final = frozenset({"ar", "fa", "he", "ur"})

DEFAULT: Final = "en"

WORDS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "title": "Your gift",
        "hello": "Hello {name}",
        "ready": "Something is ready for you.",
        "show": "Show the code",
        "show_many": "Show the codes",
        "spent_nothing": "The code is shown only when you press the button.",
        "pin": "PIN",
        "pin_hint": "The sender gave you a PIN.",
        "wrong_pin": "This PIN is wrong. Tries left: {left}",
        "locked": "Too many wrong PINs. Try again in {minutes} minutes.",
        "code": "Code",
        "serial": "Serial number",
        "redeem_at": "Redeem online",
        "copy": "Copy",
        "copied": "Copied",
        "expires": "Valid until {date}",
        "how": "How to redeem",
        "terms": "Terms",
        "gone": "This link leads nowhere",
        "gone_text": "It is not complete, it has expired, or it was withdrawn. Ask whoever sent it to you.",
        "help": "Questions? {contact}",
        "value": "Value",
        "keep": "Whoever knows this code can spend it. Keep it to yourself.",
        "test": "Test: this code has no value.",
    },
    "fr": {
        "title": "Votre cadeau",
        "hello": "Bonjour {name}",
        "ready": "Quelque chose vous attend.",
        "show": "Afficher le code",
        "show_many": "Afficher les codes",
        "spent_nothing": "Le code n’est affiché que lorsque vous appuyez sur le bouton.",
        "pin": "Code PIN",
        "pin_hint": "L’expéditeur vous a donné un code PIN.",
        "wrong_pin": "Ce code PIN est faux. Essais restants : {left}",
        "locked": "Trop de codes PIN erronés. Réessayez dans {minutes} minutes.",
        "code": "Code",
        "serial": "Numéro de série",
        "redeem_at": "Utiliser en ligne",
        "copy": "Copier",
        "copied": "Copié",
        "expires": "Valable jusqu’au {date}",
        "how": "Comment l’utiliser",
        "terms": "Conditions",
        "gone": "Ce lien ne mène nulle part",
        "gone_text": "Il est incomplet, a expiré ou a été retiré. Demandez à la personne qui vous l’a envoyé.",
        "help": "Des questions ? {contact}",
        "value": "Valeur",
        "keep": "Quiconque connaît ce code peut le dépenser. Gardez-le pour vous.",
        "test": "Test : ce code n’a aucune valeur.",
    },
    "de": {
        "title": "Ihr Geschenk",
        "hello": "Hallo {name}",
        "ready": "Für Sie liegt etwas bereit.",
        "show": "Code anzeigen",
        "show_many": "Codes anzeigen",
        "spent_nothing": "Der Code wird erst gezeigt, wenn Sie auf den Knopf drücken.",
        "pin": "PIN",
        "pin_hint": "Der Absender hat Ihnen eine PIN gegeben.",
        "wrong_pin": "Diese PIN ist falsch. Verbleibende Versuche: {left}",
        "locked": "Zu viele falsche PINs. Versuchen Sie es in {minutes} Minuten wieder.",
        "code": "Code",
        "serial": "Seriennummer",
        "redeem_at": "Online einlösen",
        "copy": "Kopieren",
        "copied": "Kopiert",
        "expires": "Gültig bis {date}",
        "how": "So lösen Sie ihn ein",
        "terms": "Bedingungen",
        "gone": "Dieser Link führt nirgendwohin",
        "gone_text": "Er ist unvollständig, abgelaufen oder zurückgezogen. Fragen Sie den Absender.",
        "help": "Fragen? {contact}",
        "value": "Wert",
        "keep": "Wer diesen Code kennt, kann ihn ausgeben. Behalten Sie ihn für sich.",
        "test": "Test: Dieser Code hat keinen Wert.",
    },
    "es": {
        "title": "Su regalo",
        "hello": "Hola, {name}",
        "ready": "Hay algo listo para usted.",
        "show": "Mostrar el código",
        "show_many": "Mostrar los códigos",
        "spent_nothing": "El código solo se muestra cuando pulsa el botón.",
        "pin": "PIN",
        "pin_hint": "El remitente le dio un PIN.",
        "wrong_pin": "Este PIN es incorrecto. Intentos restantes: {left}",
        "locked": "Demasiados PIN incorrectos. Inténtelo de nuevo en {minutes} minutos.",
        "code": "Código",
        "serial": "Número de serie",
        "redeem_at": "Canjear en línea",
        "copy": "Copiar",
        "copied": "Copiado",
        "expires": "Válido hasta el {date}",
        "how": "Cómo canjearlo",
        "terms": "Condiciones",
        "gone": "Este enlace no lleva a ninguna parte",
        "gone_text": "Está incompleto, ha caducado o fue retirado. Pregunte a quien se lo envió.",
        "help": "¿Preguntas? {contact}",
        "value": "Valor",
        "keep": "Quien conozca este código puede gastarlo. Guárdelo para usted.",
        "test": "Prueba: este código no tiene valor.",
    },
    "ar": {
        "title": "هديتك",
        "hello": "مرحبًا {name}",
        "ready": "هناك شيء جاهز لك.",
        "show": "إظهار الرمز",
        "show_many": "إظهار الرموز",
        "spent_nothing": "لا يظهر الرمز إلا عند الضغط على الزر.",
        "pin": "الرقم السري",
        "pin_hint": "أعطاك المرسل رقمًا سريًا.",
        "wrong_pin": "الرقم السري غير صحيح. المحاولات المتبقية: {left}",
        "locked": "محاولات خاطئة كثيرة. حاول مرة أخرى بعد {minutes} دقيقة.",
        "code": "الرمز",
        "serial": "الرقم التسلسلي",
        "redeem_at": "الاستبدال عبر الإنترنت",
        "copy": "نسخ",
        "copied": "تم النسخ",
        "expires": "صالح حتى {date}",
        "how": "طريقة الاستخدام",
        "terms": "الشروط",
        "gone": "هذا الرابط لا يؤدي إلى شيء",
        "gone_text": "الرابط غير مكتمل أو انتهت صلاحيته أو تم سحبه. اسأل من أرسله إليك.",
        "help": "أسئلة؟ {contact}",
        "value": "القيمة",
        "keep": "كل من يعرف هذا الرمز يمكنه إنفاقه. احتفظ به لنفسك.",
        "test": "تجربة: هذا الرمز بلا قيمة.",
    },
    "hi": {
        "title": "आपका उपहार",
        "hello": "नमस्ते {name}",
        "ready": "आपके लिए कुछ तैयार है।",
        "show": "कोड दिखाएँ",
        "show_many": "कोड दिखाएँ",
        "spent_nothing": "कोड तभी दिखता है जब आप बटन दबाते हैं।",
        "pin": "पिन",
        "pin_hint": "भेजने वाले ने आपको एक पिन दिया है।",
        "wrong_pin": "यह पिन गलत है। शेष प्रयास: {left}",
        "locked": "बहुत सारे गलत पिन। {minutes} मिनट बाद फिर कोशिश करें।",
        "code": "कोड",
        "serial": "क्रम संख्या",
        "redeem_at": "ऑनलाइन भुनाएँ",
        "copy": "कॉपी करें",
        "copied": "कॉपी हो गया",
        "expires": "{date} तक मान्य",
        "how": "कैसे भुनाएँ",
        "terms": "शर्तें",
        "gone": "यह लिंक कहीं नहीं ले जाता",
        "gone_text": "यह अधूरा है, समाप्त हो चुका है या वापस ले लिया गया है। भेजने वाले से पूछें।",
        "help": "प्रश्न? {contact}",
        "value": "मूल्य",
        "keep": "जो भी यह कोड जानता है वह इसे खर्च कर सकता है। इसे अपने पास रखें।",
        "test": "परीक्षण: इस कोड का कोई मूल्य नहीं है।",
    },
    "ru": {
        "title": "Ваш подарок",
        "hello": "Здравствуйте, {name}",
        "ready": "Для вас кое-что готово.",
        "show": "Показать код",
        "show_many": "Показать коды",
        "spent_nothing": "Код появится, только когда вы нажмёте кнопку.",
        "pin": "PIN-код",
        "pin_hint": "Отправитель сообщил вам PIN-код.",
        "wrong_pin": "Неверный PIN-код. Осталось попыток: {left}",
        "locked": "Слишком много неверных PIN-кодов. Повторите через {minutes} мин.",
        "code": "Код",
        "serial": "Серийный номер",
        "redeem_at": "Активировать онлайн",
        "copy": "Копировать",
        "copied": "Скопировано",
        "expires": "Действует до {date}",
        "how": "Как использовать",
        "terms": "Условия",
        "gone": "Эта ссылка никуда не ведёт",
        "gone_text": "Она неполная, устарела или отозвана. Спросите того, кто её прислал.",
        "help": "Вопросы? {contact}",
        "value": "Номинал",
        "keep": "Кто знает этот код, может его потратить. Никому его не показывайте.",
        "test": "Тест: этот код ничего не стоит.",
    },
}


def language_of(wanted: str | None, accept: str | None) -> str:
    """The language to speak: the claim's own if we have it, else the first of Accept-Language (RFC 9110, 12.5.4) that we have."""
    for tag in [wanted or "", *_by_quality(accept or "")]:
        base = tag.lower().partition("-")[0].partition("_")[0]
        if base in WORDS:
            return base
    return DEFAULT


def _by_quality(accept: str) -> list[str]:
    ranked = []
    for place, part in enumerate(accept[:500].split(",")[:20]):
        tag, _, rest = part.strip().partition(";")
        quality = 1.0
        if rest.strip().startswith("q="):
            try:
                quality = float(rest.strip()[2:])
            except ValueError:
                quality = 0.0
        if quality > 0:
            ranked.append((-quality, place, tag.strip()))
    return [tag for _, _, tag in sorted(ranked)]
