"""How well the text of a page can be read: its contrast as WCAG 2 measures it."""

FAINT = """() => {
    const brush = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const rgba = (color) => {
        brush.clearRect(0, 0, 1, 1);
        brush.fillStyle = color;
        brush.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = brush.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = ([r, g, b, a], under) => [r, g, b].map((value, i) => a * value + (1 - a) * under[i]);
    const linear = (octet) => (octet <= 10.3 ? octet / 255 / 12.92 : ((octet / 255 + 0.055) / 1.055) ** 2.4);
    const luminance = (color) => {
        const [r, g, b] = color.map(linear);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (one, other) => {
        const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
        return (light + 0.05) / (dark + 0.05);
    };
    const GRADIENT = /(?:linear|radial)-gradient\\((?:[^()]|\\([^()]*\\))*\\)/g;
    const COLOR = /(?:rgba?|color|oklab)\\([^()]*\\)/g;

    // Every colour that may lie under an element's text: of a gradient each of its stops.
    const known = new Map();
    const grounds = (element) => {
        if (element === null) return [rgba("canvas").slice(0, 3)];
        if (known.has(element)) return known.get(element);
        const style = getComputedStyle(element);
        let found = grounds(element.parentElement).map((under) => over(rgba(style.backgroundColor), under));
        for (const gradient of (style.backgroundImage.match(GRADIENT) ?? []).reverse()) {
            const stops = (gradient.match(COLOR) ?? []).map(rgba);
            found = found.flatMap((under) => stops.map((stop) => over(stop, under)));
        }
        known.set(element, found);
        return found;
    };
    const opacity = (element) =>
        element === null ? 1 : Number(getComputedStyle(element).opacity) * opacity(element.parentElement);
    const shown = (element) => element.checkVisibility({visibilityProperty: true, opacityProperty: true});
    const said = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== "");

    const faint = [];
    const look = (element, style, text, share) => {
        const [r, g, b, a] = rgba(style.color);
        const size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
        const ink = [r, g, b, a * share * opacity(element)];
        const worst = Math.min(...grounds(element).map((ground) => ratio(over(ink, ground), ground)));
        const enough = large ? 3 : 4.5;
        if (worst < enough) faint.push(`${worst.toFixed(2)} ${element.className} "${text.trim().slice(0, 40)}"`);
    };
    for (const element of document.querySelectorAll("body *")) {
        if (!shown(element) || element.closest("option, noscript")) continue;
        if (said(element)) look(element, getComputedStyle(element), element.textContent, 1);
        if (!element.placeholder || element.value !== "") continue;
        const placeholder = getComputedStyle(element, "::placeholder");
        look(element, placeholder, element.placeholder, Number(placeholder.opacity));
    }
    return [...new Set(faint)];
}"""
"""Texts, disabled ones and placeholders too, with less contrast than WCAG AA asks: 4.5 to 1, large ones 3 to 1."""
