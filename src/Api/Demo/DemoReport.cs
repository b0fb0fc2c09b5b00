using System.Globalization;
using System.Text.Json;

namespace Gradus.Api.Demo;

/// <summary>What the demo shows at the end: before and after, completions of the first and the last step, one question answered, lines to copy.</summary>
/// <param name="width">Cells of a line: two texts beside each other share it.</param>
internal sealed class DemoReport(GradusClient client, TextWriter output, string url, bool keyed, int width)
{
    private readonly int columnWidth = (Math.Clamp(width, 60, 160) - 3) / 2;

    private static readonly (string Figure, string Label, string Format)[] Rows =
    [
        ("held-out/pass@1", "right (pass@1)", "0.000"),
        ("held-out/cons@8", "right by majority of 8 (cons@8)", "0.000"),
        ("held-out/format_rate", "well-formed", "0.000"),
        ("held-out/mean_length", "mean length in tokens", "0.0"),
        ("held-out/phrases/checks", "with a check in the reasoning", "0.000"),
        ("held-out/language_share", "reasoning in the question's language", "0.000"),
        ("general/exact_match", "another skill, not trained (exact match)", "0.000"),
    ];

    public async Task WriteAsync(IReadOnlyList<JobView> jobs, CancellationToken cancel)
    {
        var grpo = jobs.LastOrDefault(job => job.Stage == "grpo");
        WriteTable(jobs);
        if (grpo is not null) await WriteSamplesAsync(grpo, cancel);
        var question = await WriteChatAsync(cancel);
        WriteNext(grpo ?? jobs[^1], question);
    }

    private void WriteTable(IReadOnlyList<JobView> jobs)
    {
        var evaluations = jobs.Where(job => job.Stage == "evaluate").ToList();
        if (evaluations.Count < 2) return;
        output.WriteLine();
        output.WriteLine($"{"On problems that were never trained on",-42}{"before",10}{"after",10}");
        foreach (var (figure, label, format) in Rows)
        {
            if (evaluations[0].Figure(figure) is { } before && evaluations[^1].Figure(figure) is { } after) output.WriteLine($"{label,-42}{Show(before, format),10}{Show(after, format),10}");
        }
    }

    private static string Show(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);

    private async Task WriteSamplesAsync(JobView grpo, CancellationToken cancel)
    {
        var first = await ThreePromptsAsync(grpo, 1, cancel);
        var last = await ThreePromptsAsync(grpo, grpo.Step, cancel);
        output.WriteLine();
        output.WriteLine($"{Columns.Pad("Step 1", columnWidth)} | Step {grpo.Step}");
        foreach (var (left, right) in first.Zip(last))
        {
            output.WriteLine($"{new string('-', columnWidth)}-+-{new string('-', columnWidth)}");
            foreach (var line in Columns.SideBySide(left, right, columnWidth)) output.WriteLine(line);
        }
    }

    // One sample each of the step's first three prompts.
    private async Task<IReadOnlyList<string>> ThreePromptsAsync(JobView job, int step, CancellationToken cancel)
    {
        var samples = await client.ListAsync($"v1/jobs/{job.Id}/samples?step={step}&order=index&limit=100", cancel);
        return [.. samples.DistinctBy(sample => sample.GetProperty("prompt").GetString()).Take(3).Select(Describe)];
    }

    private static string Describe(JsonElement sample)
    {
        var reward = sample.TryGetProperty("reward", out var value) && value.ValueKind == JsonValueKind.Number ? Show(value.GetDouble(), "0.0#") : "none";
        return $"{Question(sample)}\n{sample.GetProperty("completion").GetString()!.Trim()}\n(reward {reward})";
    }

    // The small world's prompts are text as a base model reads it: "User: QUESTION", then "Assistant:". In a chat the template writes that.
    private static string Question(JsonElement row)
    {
        var prompt = row.GetProperty("prompt").GetString()!.Trim();
        var (start, end) = (prompt.StartsWith("User:", StringComparison.Ordinal) ? "User:".Length : 0, prompt.LastIndexOf("Assistant:", StringComparison.Ordinal));
        return prompt[start..(end < 0 ? prompt.Length : end)].Trim();
    }

    private async Task<string> WriteChatAsync(CancellationToken cancel)
    {
        var problems = (await client.ListAsync("v1/datasets/running-sums-held-out/rows?limit=20", cancel)).Select(row => row.GetProperty("content")).ToList();
        var problem = problems.Find(row => row.GetProperty("language").GetString() == "en") is { ValueKind: JsonValueKind.Object } english ? english : problems[0];
        var question = Question(problem);
        var request = new { model = DemoRun.Recipe, messages = new[] { new { role = "user", content = question } }, max_tokens = 120, temperature = 0 };
        var answer = await client.PostAsync("v1/chat/completions", request, cancel);
        var message = answer.GetProperty("choices")[0].GetProperty("message");
        output.WriteLine();
        output.WriteLine($"Asked over /v1/chat/completions: {question} (right is {problem.GetProperty("answer")})");
        WriteWrapped("reasoning: ", message.GetProperty("reasoning_content").GetString() ?? "");
        WriteWrapped("answer:    ", message.GetProperty("content").GetString() ?? "");
        return question;
    }

    private void WriteWrapped(string label, string text)
    {
        var lines = Columns.Wrap(text.Trim(), (2 * columnWidth) - label.Length);
        for (var i = 0; i < lines.Count; i++) output.WriteLine($"  {(i == 0 ? label : new string(' ', label.Length))}{lines[i]}");
    }

    private void WriteNext(JobView job, string question)
    {
        var key = keyed ? " -H \"Authorization: Bearer $KEY\"" : "";
        var body = JsonSerializer.Serialize(new { model = DemoRun.Recipe, messages = new[] { new { role = "user", content = question } } }, Operations.Wire.Options);
        output.WriteLine();
        output.WriteLine("Next, to copy:");
        output.WriteLine($"  curl -s{key} {url}/v1/jobs/{job.Id}");
        output.WriteLine($"  curl -s{key} '{url}/v1/jobs/{job.Id}/metrics?names=reward,completions/mean_length&after_step=0'");
        output.WriteLine($"  curl -s{key} {url}/v1/chat/completions -H 'Content-Type: application/json' -d '{body}'");
        // A browser sends no key.
        if (!keyed) output.WriteLine($"  Its curves, in a browser: {url}/v1/jobs/{job.Id}/metrics.svg");
        output.WriteLine($"  Swagger, every route with an example: {url}/swagger");
    }
}
