"""Draw charts with Pillow: axes, ticks, titles, legend, and one mark per value.

The image is as wide as the model's grid of patches (10 patches of 16 pixels), so scaling loses little.
"""

from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from services.training.shared.images import RGB, Point, with_jpeg_artefacts
from services.training.tiny_matcha.data.charts import MAX_VALUE, Chart, ChartType, Marker, Series

WIDTH, HEIGHT = 160, 112
LEFT, TOP, RIGHT, BOTTOM = 29, 18, 155, 81
"""Edges of the plot before the shift."""
INK: RGB = (20, 20, 20)
GRID: RGB = (205, 205, 205)
MARKER_RADIUS = 3
HEADROOM = 0.4
"""Room above the highest value, in units of the axis."""
FONT_SIZE = 10

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@cache
def label_font() -> Font:
    """Pillow's default font, for all text inside a chart."""
    return ImageFont.load_default(FONT_SIZE)


@dataclass(frozen=True, slots=True)
class Canvas:
    """An image that is being drawn, and the edges of its plot, in pixels."""

    chart: Chart
    draw: ImageDraw.ImageDraw
    image: Image.Image
    left: float
    top: float
    right: float
    bottom: float

    def y_of(self, value: float) -> float:
        """Vertical position of a value."""
        return self.bottom - value / (MAX_VALUE + HEADROOM) * (self.bottom - self.top)

    def x_of(self, slot: float) -> float:
        """Horizontal position of a place along the categories; 0.5 is the middle of the first."""
        return self.left + slot / len(self.chart.categories) * (self.right - self.left)

    def text(self, at: Point, text: str, anchor: str) -> None:
        """Draw text at a point; ``anchor`` is one of Pillow's two-letter anchors."""
        self.draw.text(at, text, fill=INK, font=label_font(), anchor=anchor)


def draw_chart(chart: Chart) -> Image.Image:
    """The chart as an RGB image of ``WIDTH`` × ``HEIGHT`` pixels, after the JPEG round trip if its style has one."""
    image = Image.new("RGB", (WIDTH, HEIGHT), chart.style.background)
    across, down = chart.style.shift
    canvas = Canvas(chart, ImageDraw.Draw(image), image, LEFT + across, TOP + down, RIGHT + across, BOTTOM + down)
    _draw_axes(canvas)
    _draw_titles(canvas)
    for index, series in enumerate(chart.series):
        _draw_series(canvas, index, series)
    if chart.legend:
        _draw_legend(canvas)
    return image if chart.style.jpeg_quality is None else with_jpeg_artefacts(image, chart.style.jpeg_quality)


def _draw_axes(canvas: Canvas) -> None:
    chart, draw = canvas.chart, canvas.draw
    for value in range(0, MAX_VALUE + 1, chart.style.tick_step):
        y = canvas.y_of(value)
        canvas.text((canvas.left - 3, y), str(value), "rm")
        if chart.style.grid:
            draw.line([(canvas.left, y), (canvas.right, y)], fill=GRID)
    for index, name in enumerate(chart.categories):
        canvas.text((canvas.x_of(index + 0.5), canvas.bottom + 3), name, "mt")
    draw.line([(canvas.left, canvas.top), (canvas.left, canvas.bottom), (canvas.right, canvas.bottom)], fill=INK)
    if chart.style.frame:
        draw.rectangle((canvas.left, canvas.top, canvas.right, canvas.bottom), outline=INK)


def _draw_titles(canvas: Canvas) -> None:
    chart = canvas.chart
    canvas.text(((canvas.left + canvas.right) / 2, canvas.bottom + 15), chart.category_title, "mt")
    font = label_font()
    left, top, right, bottom = font.getbbox(chart.value_title)
    ink = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2), 0)
    ImageDraw.Draw(ink).text((1 - left, 1 - top), chart.value_title, fill=255, font=font)
    ink = ink.transpose(Image.Transpose.ROTATE_90)
    corner = (int(4 + chart.style.shift[0]), int((canvas.top + canvas.bottom - ink.height) / 2))
    canvas.image.paste(INK, (*corner, corner[0] + ink.width, corner[1] + ink.height), ink)


def _draw_legend(canvas: Canvas) -> None:
    chart = canvas.chart
    font = label_font()
    widths = [16 + font.getlength(series.name) for series in chart.series]
    at = canvas.right - sum(widths) if chart.style.legend_right else canvas.left + 2
    for index, (series, width) in enumerate(zip(chart.series, widths, strict=True)):
        middle = canvas.top - 8
        canvas.draw.rectangle((at, middle - 3, at + 6, middle + 3), fill=chart.style.palette[index])
        canvas.text((at + 9, middle), series.name, "lm")
        at += width


def _draw_series(canvas: Canvas, index: int, series: Series) -> None:
    match canvas.chart.chart_type:
        case ChartType.BAR:
            _draw_bars(canvas, index, series)
        case ChartType.LINE:
            style = canvas.chart.style
            canvas.draw.line(_points(canvas, series), fill=style.palette[index], width=style.line_width)
            _draw_markers(canvas, index, series)
        case ChartType.AREA:
            _draw_area(canvas, index, series)
        case ChartType.SCATTER:
            _draw_markers(canvas, index, series)


def _points(canvas: Canvas, series: Series) -> list[Point]:
    return [(canvas.x_of(slot + 0.5), canvas.y_of(value)) for slot, value in enumerate(series.values)]


def _draw_bars(canvas: Canvas, index: int, series: Series) -> None:
    style = canvas.chart.style
    width = style.bar_share / len(canvas.chart.series)
    for slot, value in enumerate(series.values):
        start = slot + 0.5 - style.bar_share / 2 + index * width
        box = (canvas.x_of(start), canvas.y_of(value), canvas.x_of(start + width) - 1, canvas.bottom - 1)
        canvas.draw.rectangle(box, fill=style.palette[index])


def _draw_area(canvas: Canvas, index: int, series: Series) -> None:
    points = _points(canvas, series)
    base = canvas.bottom - 1
    canvas.draw.polygon([(points[0][0], base), *points, (points[-1][0], base)], fill=canvas.chart.style.palette[index])


def _draw_markers(canvas: Canvas, index: int, series: Series) -> None:
    style = canvas.chart.style
    for point in _points(canvas, series):
        _draw_marker(canvas.draw, point, style.marker, style.palette[index])


def _draw_marker(draw: ImageDraw.ImageDraw, at: Point, marker: Marker, colour: RGB) -> None:
    x, y = at
    radius = MARKER_RADIUS
    if marker is Marker.DISC:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    elif marker is Marker.SQUARE:
        draw.rectangle((x - radius, y - radius, x + radius, y + radius), fill=colour)
    else:
        draw.polygon([(x - radius - 1, y), (x, y - radius - 1), (x + radius + 1, y), (x, y + radius + 1)], fill=colour)
