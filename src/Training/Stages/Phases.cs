namespace Gradus.Training.Stages;

/// <summary>What a stage can be doing, as its job shows it; each may have a limit for how long there is no progress. A test holds the list to the code.</summary>
public static class Phases
{
    public static IReadOnlyList<string> All { get; } =
    [
        "start", "load", "data", "step", "weights", "rollout", "reward", "forward", "reference", "backward", "optimizer", "journal", "checkpoint", "model", "generate", "select", "merge", "write", "hash", "database",
    ];
}
