#if KILL_POINTS
using System.Text.Json;
using Gradus.Training;
using Gradus.Training.Stages;

namespace Gradus.Api.Jobs;

/// <summary>
/// A stage without a model, for the tests of jobs alone (it exists in the build configuration Test): it counts steps, keeps a checksum of (seed, step) that any
/// lost or doubled step would change, saves checkpoints, and can misbehave where it is told.
/// </summary>
internal static class ToyStage
{
    public const string Name = "toy";

    public static StageResult Run(StageRequest request, IRunJournal journal)
    {
        var steps = request.Options.GetProperty("steps").GetInt32();
        var saveSteps = Number(request, "save_steps") ?? 2;
        var (done, checksum) = Load(request);
        journal.Begin(done + 1, steps);
        journal.Event("info", done == 0 ? "Started from nothing." : $"Resumed after step {done}.");
        for (var step = done + 1; step <= steps; step++)
        {
            journal.Progress("count");
            Gate(request, journal, step);
            if (step == Number(request, "diverge_at")) throw new TrainingDivergedException("The toy has diverged.");
            if (step == Number(request, "throw_at")) throw new InvalidOperationException("the reward 'toy' threw");
            if (step == Number(request, "full_at")) throw new IOException("No space left on device");
            if (step == Number(request, "exit_at")) Environment.Exit(0);
            if (step == Number(request, "hang_at"))
            {
                if (request.Options.TryGetProperty("hang_in", out var phase)) journal.Progress(phase.GetString()!);
                new ManualResetEventSlim().Wait();
            }
            if (step == Number(request, "overflow_at")) Overflow(0);
            checksum = DerivedRandom.Key(request.Seed + (long)checksum, "toy", step);
            journal.CommitStep(new StepRecord(step, [new("checksum", checksum % 1_000_000), new("step_time", 1)], [Sample(step, checksum)]));
            if (step % saveSteps != 0 && step != steps && !journal.StopRequested) continue;
            Save(request, journal, step, checksum);
            if (journal.StopRequested && step < steps) throw new StageStoppedException();
        }

        var folder = Path.Combine(request.Folder, "model");
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "checksum.txt"), checksum.ToString());
        return new StageResult(folder, [JsonSerializer.SerializeToElement(new { checksum = checksum.ToString() })], [new("checksum", checksum % 1_000_000)]);
    }

    private static Sample Sample(int step, ulong checksum) => new(
        0, 0, "count\0to", "step " + step + " \uD800", (int)(checksum % 100), 1, 0.5, "stop", step, [new("toy", checksum % 7), new("other", null)]);

    /// <summary>At the step "gate_at" it waits for the file "gate", making progress, and leaves when it is asked to.</summary>
    private static void Gate(StageRequest request, IRunJournal journal, int step)
    {
        if (step != Number(request, "gate_at")) return;
        using var never = new ManualResetEventSlim();
        while (!File.Exists(request.Options.GetProperty("gate").GetString()) && (!journal.StopRequested || Number(request, "deaf") == 1))
        {
            journal.Progress("count");
            never.Wait(20);
        }
    }

    private static void Save(StageRequest request, IRunJournal journal, int step, ulong checksum)
    {
        var folder = Path.Combine(request.Folder, "checkpoints", $"{step:000000}-{request.Stamp}");
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "state"), $"{step} {checksum}");
        journal.CommitCheckpoint(new CheckpointRecord(step, new Uri(folder).AbsoluteUri));
    }

    private static (int Done, ulong Checksum) Load(StageRequest request)
    {
        foreach (var checkpoint in request.Checkpoints)
        {
            var file = Path.Combine(new Uri(checkpoint.Uri).LocalPath, "state");
            if (File.Exists(file) && File.ReadAllText(file).Split(' ') is [var step, var checksum]) return (int.Parse(step), ulong.Parse(checksum));
        }

        return (0, 0);
    }

    private static int Overflow(int depth) => Overflow(depth + 1) + depth;

    private static int? Number(StageRequest request, string name) => request.Options.TryGetProperty(name, out var value) ? value.GetInt32() : null;
}
#endif
