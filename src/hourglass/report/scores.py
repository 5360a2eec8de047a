"""The parts of the report with numbers: scores, by joint and threshold, and the epochs."""

from hourglass.keypoints import PCKH_GROUPS
from hourglass.report.charts import Axis, Line, Style, draw_chart, draw_swatch
from hourglass.report.markup import definitions, element, folded, join, number, section, table
from hourglass.report.results import CURVES

# Each of them is seen on white and on black; by its dashes also without colour.
_TOTAL = Style(width=3)
_GROUP_STYLES = (
    Style("#4477AA"), Style("#118899", "7 3"), Style("#228833", "2 3"), Style("#998811", "7 3 2 3"),
    Style("#CC7711"), Style("#DD5566", "7 3"), Style("#B84488", "2 3"),
)  # fmt: skip
LINE_STYLES = {"total": _TOTAL, **dict(zip(PCKH_GROUPS, _GROUP_STYLES, strict=True))}
_FINE = Style("#4477AA", "7 3")
SHOWN = (10, 20, 30, 40, 50)  # hundredths of the head size


def show_scores(results):
    """The section of the validation scores: all numbers of `metrics.json`, and the curve."""
    metrics = results.metrics
    tiles = (
        ("PCKh@0.5", number(metrics["pckh"]["total"], 2)),
        ("PCKh@0.1", number(metrics["pckh_0.1"]["total"], 2)),
        ("area under the curve", number(metrics["auc"], 2)),
        ("PCKh@0.5, mean of the joints", number(metrics["pckh"]["unweighted"], 2)),
        ("persons", number(metrics["num_persons"])),
        ("labelled joints", number(metrics["num_joints"])),
        ("persons left out, counted as wrong", number(metrics["num_invalid"])),
        ("records unreadable, not counted", number(metrics["num_unreadable"])),
    )
    about = (
        "A joint is right when it lies within the threshold, a fraction of the person’s head size, "
        "of its label. Occluded joints count, joints without a label do not, pelvis and thorax are "
        f"never scored. All scores are per cent. Head sizes: {results.head_sizes}."
    )
    return section(
        "Scores on the validation persons",
        definitions(tiles, class_="tiles"),
        element("div", _draw_curves(results.curves), _show_joints(results), class_="pair"),
        element("p", about, class_="note"),
    )


def _show_joints(results):
    thresholds = [f"@{hundredths / 100:g}" for hundredths in SHOWN]
    rows = [
        (join([draw_swatch(LINE_STYLES[name]), name]), *_scores_of(results, name))
        for name in CURVES
    ]
    return table("PCKh by joint and threshold", ("joint", *thresholds), rows)


def _scores_of(results, name):
    """At the thresholds that are shown; from the metrics where they have it."""
    values = {hundredths: results.curves[name][hundredths] for hundredths in SHOWN}
    values[50] = results.metrics["pckh"][name]
    if name == "total":
        values[10] = results.metrics["pckh_0.1"]["total"]
    return [number(value, 2) for value in values.values()]


def _draw_curves(curves):
    lines = [
        Line(list(zip(curves["threshold"], curves[name], strict=True)), LINE_STYLES[name])
        for name in (*PCKH_GROUPS, "total")  # the total lies on top
    ]
    x_axis, y_axis = Axis("threshold, fraction of the head size", 0.5), Axis("PCKh, %", 100)
    label = "PCKh by threshold, a line for each joint; the table holds its numbers"
    return _chart("PCKh by threshold", draw_chart(label, x_axis, y_axis, lines))


def show_training(results):
    """The section of the epochs: loss and validation scores, as lines and as a table."""
    rows = list(zip(*results.history.values(), strict=True))
    epochs = [
        (number(epoch), number(loss, 5), number(half, 2), number(tenth, 2))
        for epoch, loss, half, tenth in rows
    ]
    header = ("epoch", "loss", "PCKh@0.5", "PCKh@0.1")
    charts = (_draw_loss(rows), _draw_progress(results, rows)) if len(rows) > 1 else ()
    best = results.best_epoch
    whose = (
        f"of epoch {best}, the best by PCKh@0.5" if best else "of the start, which no epoch beat"
    )
    return section(
        "Training",
        element("p", f"The network’s weights are those {whose}."),
        element("div", *charts, class_="pair"),
        folded("All epochs", table("Loss and validation scores by epoch", header, epochs)),
    )


def _draw_loss(rows):
    losses = [loss for _, loss, *_ in rows if loss is not None]
    line = Line([(epoch, loss) for epoch, loss, *_ in rows], LINE_STYLES["total"])
    axes = _epoch_axis(rows), Axis("loss", 1.05 * max(losses, default=1.0))
    return _chart("Training loss", draw_chart("training loss by epoch", *axes, [line]))


def _draw_progress(results, rows):
    half = [(epoch, score) for epoch, _, score, _ in rows]
    tenth = [(epoch, score) for epoch, _, _, score in rows]
    lines = [Line(tenth, _FINE), Line(half, _TOTAL)]
    best = next(point for point in half if point[0] == results.best_epoch)
    label = "validation PCKh@0.5 and PCKh@0.1 by epoch, the best epoch ringed"
    chart = draw_chart(label, _epoch_axis(rows), Axis("PCKh, %", 100), lines, marked=best)
    key = [draw_swatch(_TOTAL), "@0.5, the best ringed; ", draw_swatch(_FINE), "@0.1"]
    return _chart(join(["Validation PCKh ", *key]), chart)


def _epoch_axis(rows):
    return Axis("epoch", rows[-1][0], step=1)


def _chart(caption, chart):
    return element("figure", element("figcaption", caption), chart)
