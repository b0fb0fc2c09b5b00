using System.Text.Json;

namespace Gradus.Api.Demo;

/// <summary>What the demo reads of one job of a run.</summary>
internal sealed record JobView(string Id, string Name, string Stage, string Status, int Step, int? TotalSteps, string? Model, JsonElement Result, string? Error)
{
    public bool Ended => Status is "succeeded" or "failed" or "cancelled";

    /// <summary>One of the closing figures; null where there is none of that name.</summary>
    public double? Figure(string name) =>
        Result.ValueKind == JsonValueKind.Object && Result.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;

    public static JobView Read(JsonElement job) => new(
        job.GetProperty("id").GetString()!,
        job.GetProperty("name").GetString()!,
        job.GetProperty("stage").GetString()!,
        job.GetProperty("status").GetString()!,
        Number(job, "step") ?? 0,
        Number(job, "total_steps"),
        Text(job, "model"),
        job.GetProperty("result"),
        job.TryGetProperty("error", out var error) && error.ValueKind == JsonValueKind.Object ? Text(error, "message") : null);

    public static IReadOnlyList<JobView> ReadAll(JsonElement run) => [.. run.GetProperty("jobs").EnumerateArray().Select(Read)];

    private static int? Number(JsonElement parent, string name) =>
        parent.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetInt32() : null;

    private static string? Text(JsonElement parent, string name) =>
        parent.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
