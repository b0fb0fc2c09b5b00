using System.Globalization;

namespace Gradus.Api.Demo;

/// <summary>Shows a run while it goes: on a terminal a table that is drawn over itself, in a pipe one line every few seconds.</summary>
internal sealed class ProgressView(TextWriter output, bool terminal, TimeProvider time)
{
    private static readonly TimeSpan LineEvery = TimeSpan.FromSeconds(5);

    // 80 columns at most: a line that wraps could not be drawn over.
    private static readonly string Header = $"  {"stage",-16}{"step",11}{"reward",8}{"pass",7}{"length",8}{"loss",8}{"tokens/s",10}{"left",8}";

    private readonly HashSet<string> ended = [];
    private int drawn;
    private long lastLine;
    private string lastText = "";
    private string lastState = "";

    /// <summary>Draws the state as it is now; <paramref name="figures"/> by job id.</summary>
    public void Show(IReadOnlyList<JobView> jobs, IReadOnlyDictionary<string, StageFigures> figures)
    {
        if (terminal)
        {
            // Back to the table's first line; each line is cleared before it is written anew.
            if (drawn > 0) output.Write($"\x1b[{drawn}A");
            foreach (var line in jobs.Select(job => Row(job, figures[job.Id])).Prepend(Header)) output.Write($"\r\x1b[2K{line}\n");
            drawn = jobs.Count + 1;
            output.Flush();
            return;
        }
        foreach (var job in jobs.Where(job => job.Ended && ended.Add(job.Id))) output.WriteLine(Line(job, figures[job.Id]));
        if (jobs.FirstOrDefault(job => !job.Ended) is { } current)
        {
            var (state, text) = ($"{current.Id} {current.Status}", Line(current, figures[current.Id]));
            if (text == lastText || (state == lastState && time.GetElapsedTime(lastLine) < LineEvery)) return;
            (lastText, lastState, lastLine) = (text, state, time.GetTimestamp());
            output.WriteLine(text);
        }
        output.Flush();
    }

    private static string Row(JobView job, StageFigures figures) =>
        $"{Mark(job.Status)} {job.Name,-16}{Steps(job),11}{Number(figures["reward"], "0.000"),8}{Number(figures["pass_rate"], "0.00"),7}"
        + $"{Number(figures["completions/mean_length"], "0.0"),8}{Number(figures["loss"], "0.000"),8}{Number(figures.TokensPerSecond, "N0"),10}{Left(job, figures),8}";

    private static string Line(JobView job, StageFigures figures)
    {
        var parts = new List<string> { $"{job.Name} {job.Status}" };
        if (Steps(job) is { Length: > 0 } steps) parts.Add($"step {steps}");
        Add("reward", figures["reward"], "0.000");
        Add("pass rate", figures["pass_rate"], "0.00");
        Add("length", figures["completions/mean_length"], "0.0");
        Add("loss", figures["loss"], "0.000");
        if (figures.TokensPerSecond is { } speed) parts.Add($"{Number(speed, "N0")} tokens/s");
        if (Left(job, figures) is { Length: > 0 } left) parts.Add($"{left} left");
        return string.Join(" · ", parts);

        void Add(string label, double? value, string format)
        {
            if (value is not null) parts.Add($"{label} {Number(value, format)}");
        }
    }

    private static char Mark(string status) => status switch { "succeeded" => '✓', "failed" => '✗', "cancelled" => '-', "running" => '>', _ => ' ' };

    private static string Steps(JobView job) => job.TotalSteps is { } total ? $"{job.Step}/{total}" : "";

    private static string Number(double? value, string format) => value?.ToString(format, CultureInfo.InvariantCulture) ?? "";

    private static string Left(JobView job, StageFigures figures) =>
        job.Status == "running" && figures.SecondsLeft(job) is { } seconds ? $"{(int)seconds / 60}:{(int)seconds % 60:00}" : "";
}
