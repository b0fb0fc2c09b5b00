using System.Globalization;
using System.Text;
using System.Xml;
using System.Xml.Linq;

namespace Gradus.Api.Jobs;

/// <summary>A line of a chart.</summary>
/// <param name="Points">By step, all finite.</param>
internal sealed record ChartSeries(string Name, IReadOnlyList<(double Step, double Value)> Points);

/// <summary>One chart: lines that share a scale.</summary>
internal sealed record ChartPanel(string Title, IReadOnlyList<ChartSeries> Series);

/// <summary>
/// Charts as one SVG without scripts, for browsers and documents, in light and dark as the reader's system has it. Names come from users: every text goes through the XML writer, without what XML cannot hold.
/// </summary>
internal static class MetricsChart
{
    public const string ContentType = "image/svg+xml";

    /// <summary>Lines of one chart; what is beyond is counted below it.</summary>
    public const int MostSeries = 12;

    private const int Width = 480, Left = 62, Right = 14, Top = 34, Plot = 170, LegendLine = 14;

    // Each has a contrast of about 3 or more to both backgrounds.
    private static readonly string[] colours = ["#2f7ed8", "#d9534f", "#1f9d55", "#b7791f", "#8b5cf6", "#0e8a9e", "#c2499d", "#7a7f87", "#6b8e23", "#a0522d", "#4169e1", "#cd5c5c"];

    private static readonly XNamespace svg = "http://www.w3.org/2000/svg";

    private const string Style = """
        svg{--paper:#fff;--ink:#1f2937;--faint:#d1d5db} @media(prefers-color-scheme:dark){svg{--paper:#111827;--ink:#e5e7eb;--faint:#374151}}
        .paper{fill:var(--paper)} text{fill:var(--ink);font:11px system-ui,sans-serif} .title{font-weight:600;font-size:13px} .grid{stroke:var(--faint)} .stage{stroke:var(--faint);stroke-dasharray:4 3}
        polyline{fill:none;stroke-width:1.6;stroke-linejoin:round}
        """;

    /// <param name="stages">Where on the axis each job of a run begins, with its name; empty for one job.</param>
    /// <param name="note">One line below the title.</param>
    public static string Draw(string title, string note, IReadOnlyList<ChartPanel> panels, IReadOnlyList<(double Step, string Name)> stages)
    {
        // Two in a row, each as high as its longest legend.
        ChartPanel[][] rows = [.. panels.Chunk(2)];
        int[] heights = [.. rows.Select(row => Top + Plot + 60 + (row.Max(panel => (Math.Min(MostSeries, panel.Series.Count) + 1) / 2) * LegendLine))];
        var (width, height) = (Math.Clamp(panels.Count, 1, 2) * Width, 50 + heights.Sum());
        var drawing = new XElement(svg + "svg", new XAttribute("viewBox", $"0 0 {width} {height}"), new XAttribute("width", width), new XAttribute("height", height), new XAttribute("role", "img"),
            new XElement(svg + "title", Clean(title)), new XElement(svg + "style", Style), new XElement(svg + "rect", new XAttribute("class", "paper"), new XAttribute("width", "100%"), new XAttribute("height", "100%")),
            Text(14, 22, title, "title"), Text(14, 40, panels.Count == 0 ? "No step of these metrics yet." : note));
        foreach (var (place, panel) in panels.Index())
            drawing.Add(new XElement(svg + "g", new XAttribute("transform", $"translate({place % 2 * Width} {50 + heights[..(place / 2)].Sum()})"), Panel(panel, stages)));
        return drawing.ToString(SaveOptions.DisableFormatting);
    }

    private static IEnumerable<XElement> Panel(ChartPanel panel, IReadOnlyList<(double Step, string Name)> stages)
    {
        ChartSeries[] shown = [.. panel.Series.Take(MostSeries)];
        var points = shown.SelectMany(series => series.Points).ToArray();
        var (from, to) = (points.Min(point => point.Step), points.Max(point => point.Step));
        var (low, high) = (points.Min(point => point.Value), points.Max(point => point.Value));
        // From 0 where that costs little of the height.
        if (low > 0 && low < high / 2) low = 0;
        if (high - low <= 1e-9 * Math.Abs(high)) (low, high) = (low - Math.Max(0.5, Math.Abs(low) / 10), high + Math.Max(0.5, Math.Abs(high) / 10));
        if (to <= from) (from, to) = (from - 1, to + 1);
        double X(double step) => Left + ((step - from) / (to - from) * (Width - Left - Right));
        double Y(double value) => Top + ((high - value) / (high - low) * Plot);

        yield return Text(Left, 20, panel.Title, "title");
        foreach (var tick in Ticks(low, high))
        {
            yield return Line(Left, Y(tick), Width - Right, Y(tick), "grid");
            yield return Text(Left - 6, Y(tick) + 4, Number(tick), anchor: "end");
        }
        foreach (var (place, (step, name)) in stages.Index().Where(stage => stage.Item.Step > from && stage.Item.Step < to))
        {
            yield return Line(X(step), Top, X(step), Top + Plot, "stage");
            yield return Text(X(step) + 3, Top + 10 + (place % 3 * 12), name);
        }
        foreach (var tick in Ticks(from, to).Where(tick => tick == Math.Floor(tick))) yield return Text(X(tick), Top + Plot + 15, Number(tick), anchor: "middle");
        yield return Text(Left + ((Width - Left - Right) / 2), Top + Plot + 30, stages.Count == 0 ? "step" : "step, one job after another", anchor: "middle");
        foreach (var (place, series) in shown.Index())
        {
            // Each job has a line of its own.
            foreach (var line in series.Points.GroupBy(point => stages.Count(stage => stage.Step <= point.Step)))
            {
                yield return new XElement(svg + "polyline", new XAttribute("stroke", colours[place]), new XAttribute("points", string.Join(' ', line.Select(point => $"{Place(X(point.Step))},{Place(Y(point.Value))}"))));
                // One point alone is none.
                if (line.Take(2).ToArray() is [var only]) yield return new XElement(svg + "circle", new XAttribute("cx", Place(X(only.Step))), new XAttribute("cy", Place(Y(only.Value))), new XAttribute("r", 3), new XAttribute("fill", colours[place]));
            }
            var (x, y) = (Left + (place % 2 * 206), Top + Plot + 46 + (place / 2 * LegendLine));
            yield return new XElement(svg + "rect", new XAttribute("x", x - 12), new XAttribute("y", y - 8), new XAttribute("width", 8), new XAttribute("height", 8), new XAttribute("fill", colours[place]));
            yield return Text(x, y, series.Name.Length <= 32 ? series.Name : series.Name[..31] + "\u2026");
        }
        if (panel.Series.Count > MostSeries) yield return Text(Width - Right, 20, $"and {panel.Series.Count - MostSeries} more", anchor: "end");
    }

    /// <summary>Three to seven round numbers within the bounds.</summary>
    private static IEnumerable<double> Ticks(double low, double high)
    {
        var rough = (high - low) / 6;
        var unit = Math.Pow(10, Math.Floor(Math.Log10(rough)));
        var step = unit * (rough / unit) switch { <= 1 => 1, <= 2 => 2, <= 5 => 5, _ => 10 };
        for (var tick = Math.Ceiling(low / step); tick * step <= high && step > 0; tick++) yield return tick * step;
    }

    private static string Number(double value) => Math.Abs(value) switch
    {
        // Also of -0, which some steps lead to.
        0 => "0",
        >= 1e15 => value.ToString("0.#e0", CultureInfo.InvariantCulture),
        >= 1e9 => (value / 1e9).ToString("0.##", CultureInfo.InvariantCulture) + "G",
        >= 1e6 => (value / 1e6).ToString("0.##", CultureInfo.InvariantCulture) + "M",
        >= 1e4 => (value / 1e3).ToString("0.##", CultureInfo.InvariantCulture) + "k",
        _ => value.ToString("G4", CultureInfo.InvariantCulture),
    };

    private static string Place(double value) => value.ToString("0.#", CultureInfo.InvariantCulture);

    private static XElement Line(double x1, double y1, double x2, double y2, string kind) =>
        new(svg + "line", new XAttribute("x1", Place(x1)), new XAttribute("y1", Place(y1)), new XAttribute("x2", Place(x2)), new XAttribute("y2", Place(y2)), new XAttribute("class", kind));

    private static XElement Text(double x, double y, string text, string? kind = null, string anchor = "start") =>
        new(svg + "text", new XAttribute("x", Place(x)), new XAttribute("y", Place(y)), new XAttribute("text-anchor", anchor), kind is null ? null : new XAttribute("class", kind), Clean(text));

    private static string Clean(string text)
    {
        var clean = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes()) clean.Append(rune.Value > char.MaxValue || XmlConvert.IsXmlChar((char)rune.Value) ? rune.ToString() : "\uFFFD");
        return clean.ToString();
    }
}
