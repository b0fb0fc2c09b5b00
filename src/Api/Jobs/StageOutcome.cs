using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Persistence;
using Gradus.Training.Lora;
using Gradus.Training.Model;
using Gradus.Training.Stages;

namespace Gradus.Api.Jobs;

/// <summary>The last word of an attempt: how what a stage returned or threw becomes the job's outcome.</summary>
internal static class StageOutcome
{
    public static Func<JobLease, Task<bool>> Success(AttemptDescription description, StageRequest request, StageResult result, ICatalog catalog)
    {
        var model = result.ModelFolder is { } folder ? new MadeModel(Path.GetFullPath(folder), Details(description, request, folder, catalog)) : null;
        var rows = result.Rows?.Select(row => row.GetRawText()).ToArray();
        var summary = new JsonObject();
        // JSON has no word for infinities and NaN.
        foreach (var metric in result.Summary) summary[metric.Name] = double.IsFinite(metric.Value) ? metric.Value : null;
        return lease => lease.SucceedAsync(model, rows, summary.ToJsonString(), CancellationToken.None);
    }

    /// <summary>
    /// Left as asked: the job waits. The disk, or the machine's memory: the next attempt may fare better. Anything else would end the same again, since a
    /// stage is a function of its options and its seed: the job fails, with phase and reason.
    /// </summary>
    public static Func<JobLease, Task<bool>> Of(Exception problem, string phase, JobClaims claims) => problem switch
    {
        StageStoppedException => lease => End(claims, lease, counts: false, "it saved a checkpoint and left, as asked", phase),
        IOException or OutOfMemoryException => lease => End(claims, lease, counts: true, Reason(problem), phase),
        _ => lease => Fail(lease, phase, problem),
    };

    private static async Task<bool> End(JobClaims claims, JobLease lease, bool counts, string reason, string phase) =>
        await claims.EndAsync(lease.JobId, lease.Stamp, counts, reason, CancellationToken.None, phase) is not null;

    private static async Task<bool> Fail(JobLease lease, string phase, Exception problem)
    {
        // Where nothing of ours broke, the sentence says all there is.
        if (!IsPlain(problem)) await lease.EventAsync("error", problem.ToString(), CancellationToken.None);
        return await lease.FailAsync(phase, Reason(problem), CancellationToken.None);
    }

    /// <summary>Whether its message is written for whoever sent the job.</summary>
    private static bool IsPlain(Exception problem) => problem is Training.InvalidInputException or TrainingDivergedException;

    private static string Reason(Exception problem) => problem switch
    {
        _ when IsPlain(problem) => problem.Message,
        Training.Rewards.RewardFailedException => problem.Message,
        TypeInitializationException or System.Reflection.TargetInvocationException when problem.InnerException is { } inner => Reason(inner),
        _ => $"{problem.GetType().Name}: {problem.Message}",
    };

    private static string Details(AttemptDescription description, StageRequest request, string folder, ICatalog catalog)
    {
        // Without a config it is what a toy stage of the tests made.
        var stored = StoredModel.At(folder, catalog.ModelFolder);
        var config = Path.Combine(folder, stored.IsAdapter ? AdapterConfig.File : "config.json");
        var details = File.Exists(config) ? JsonObject.Create(ModelDescription.Read(stored).ToJson())! : [];
        foreach (var (name, value) in new (string, JsonNode)[]
        {
            ("run", description.RunId), ("run_name", description.RunName), ("name", description.Name), ("stage", description.Stage), ("seed", description.Seed),
        }) details[name] = value;
        if (request.Options.TryGetProperty("model", out var parent) && parent.ValueKind == JsonValueKind.String) details["parent"] = parent.GetString();
        if (stored.IsAdapter) details["base"] = Adapter.ParentOf(folder);
        if (File.Exists(config)) details["config"] = JsonNode.Parse(File.ReadAllText(config));
        return details.ToJsonString();
    }
}
