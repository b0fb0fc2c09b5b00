using System.Text.Json;

namespace Gradus.Api.Jobs;

/// <summary>
/// What a worker hands to a stage's process, as one line of JSON on its standard input, so that the database's password stands in no argument and no
/// environment. The input stays open after it: its end is the worker's death.
/// </summary>
/// <param name="Connection">The database.</param>
/// <param name="StateFolder">Absolute; the job's folder is below it.</param>
/// <param name="LeaseSeconds">How long a renewal holds.</param>
/// <param name="PhaseLimitSeconds">How long the training thread may go without progress before it counts as hung, where its phase has no limit of its own.</param>
/// <param name="PhaseLimits">Limits by phase, in seconds.</param>
internal sealed record StageLaunch(string Connection, string StateFolder, double LeaseSeconds, double PhaseLimitSeconds, IReadOnlyDictionary<string, double> PhaseLimits)
{
    public string Line() => JsonSerializer.Serialize(this);

    public static StageLaunch Read(string? line) =>
        JsonSerializer.Deserialize<StageLaunch>(line ?? "") ?? throw new InvalidDataException("The first line of standard input is not a launch.");

    public TimeSpan Limit(string phase) => TimeSpan.FromSeconds(PhaseLimits.GetValueOrDefault(phase, PhaseLimitSeconds));
}
