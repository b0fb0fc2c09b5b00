using Gradus.Api.Operations;
using Gradus.Training.Stages;

namespace Gradus.Api.Jobs;

/// <summary>How a worker works.</summary>
/// <param name="Connection">The database its children write to.</param>
/// <param name="StateFolder">Absolute; jobs' folders go below it.</param>
/// <param name="Host">This machine's name, the first part of its devices' ids.</param>
/// <param name="Devices">What it offers: cpu, cuda:0, ...</param>
/// <param name="StopLimit">How long a child may take to save a checkpoint and leave (pause, shutdown) before it is killed.</param>
/// <param name="PhaseLimit">See <see cref="StageLaunch"/>.</param>
internal sealed record WorkerOptions(
    string Connection, string StateFolder, string Host, IReadOnlyList<string> Devices, TimeSpan Lease, TimeSpan StopLimit, TimeSpan PhaseLimit,
    IReadOnlyDictionary<string, double> PhaseLimits)
{
    /// <summary>How long a child that is to be cancelled may take before it is killed: cancelling ends within 5 s.</summary>
    public static readonly TimeSpan CancelLimit = TimeSpan.FromSeconds(2.5);

    /// <summary>How often a worker looks by itself, in case a wake-up was lost.</summary>
    public static readonly TimeSpan SweepInterval = TimeSpan.FromSeconds(10);

    /// <summary>Variables set in the children's environment (null: removed); tests arm kill points with it.</summary>
    public IReadOnlyDictionary<string, string?> ChildEnvironment { get; init; } = new Dictionary<string, string?>();

    public static WorkerOptions From(GradusSettings settings, string connection) => new(
        connection, settings.StateFolder, Environment.MachineName, settings.Devices, TimeSpan.FromSeconds(settings.LeaseSeconds), TimeSpan.FromSeconds(settings.StopSeconds),
        TimeSpan.FromSeconds(settings.PhaseLimitSeconds), Limits(settings.PhaseLimits));

    public string DeviceId(string device) => $"{Host}/{device}";

    private static Dictionary<string, double> Limits(IReadOnlyList<string> texts)
    {
        Dictionary<string, double> limits = [];
        foreach (var (phase, seconds) in texts.Select(Limit))
        {
            if (!Phases.All.Contains(phase)) throw new SettingsException($"Gradus:PhaseLimits names the phase '{phase}'; there are {string.Join(", ", Phases.All)}.");
            if (!limits.TryAdd(phase, seconds)) throw new SettingsException($"Gradus:PhaseLimits names the phase '{phase}' twice.");
        }
        return limits;
    }

    private static (string Phase, double Seconds) Limit(string text) =>
        text.Split('=') is [var phase, var number] && double.TryParse(number, out var seconds) && seconds is >= 1 and <= 86_400
            ? (phase, seconds) : throw new SettingsException($"Gradus:PhaseLimits holds \"{text}\"; expected is PHASE=SECONDS with 1 to 86400 seconds.");
}
