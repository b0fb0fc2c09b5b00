// The loop that all training stages share: begin or go on, step, commit, save, stop. It knows no loss. Everything random in a step derives from the
// step's number, so that a resumed run does what an unbroken one does, bit for bit; only times differ.
using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Checkpoints;
using Gradus.Training.Model;
using Gradus.Training.Optimizer;

namespace Gradus.Training.Stages;

internal sealed class TrainingLoop : IDisposable
{
    /// <summary>Steps in a row without a finite gradient that end the job.</summary>
    private const int MostSkipped = 3;

    private readonly StageContext context;
    private readonly LoopOptions options;
    private readonly CheckpointStore store;
    private readonly LearningRateSchedule schedule;
    private readonly AdamW optimizer;
    private readonly int firstStep;
    private readonly StepWarnings warnings;
    private bool saidLong;
    private int skipped, skippedInARow;

    /// <param name="start">Makes the model where there is no checkpoint yet.</param>
    public TrainingLoop(StageContext context, LoopOptions options, Func<CausalLm> start)
    {
        (this.context, this.options) = (context, options);
        schedule = new(LearningRateSchedule.Parse(options.Scheduler), options.LearningRate, options.MaxSteps, options.WarmupSteps, options.MinLearningRateRatio);
        store = new CheckpointStore(context.Request, options.SaveTotalLimit);
        context.Progress("load");
        var checkpoint = store.Load(context.Warn);
        Model = checkpoint?.LoadModel(context.Request.Device, context.Catalog.ModelFolder) ?? start();
        optimizer = new AdamW(Model.Parameters, new AdamWOptions { Beta1 = options.Beta1, Beta2 = options.Beta2, Epsilon = options.Epsilon, WeightDecay = options.WeightDecay });
        checkpoint?.LoadOptimizer(optimizer);
        Tokens = checkpoint?.State.GetProperty("num_tokens").GetInt64() ?? 0;
        if (checkpoint?.State.TryGetProperty("skipped", out var counts) == true) (skipped, skippedInARow) = (counts[0].GetInt32(), counts[1].GetInt32());
        warnings = new(options.BFloat16, checkpoint?.State.TryGetProperty("warnings", out var kept) == true ? kept : null);
        firstStep = (checkpoint?.Step ?? 0) + 1;
        ResumedFrom = checkpoint?.Folder;
        foreach (var layer in Model.LeftOut) context.Journal.Event("info", $"{layer} predicts further tokens and is left out: the model that is written has no such layer.");
        if (checkpoint is not null) context.Journal.Event("info", $"Went on from the checkpoint of step {checkpoint.Step}.");
    }

    public CausalLm Model { get; }

    /// <summary>Tokens seen so far, over all attempts; a step adds its own.</summary>
    public long Tokens { get; set; }

    /// <summary>The folder of the checkpoint that it goes on from; null at a start.</summary>
    public string? ResumedFrom { get; }

    /// <summary>What the stage keeps in a checkpoint beside model and optimizer.</summary>
    public Func<IReadOnlyList<(string Name, Action<Stream> Write)>>? Beside { get; set; }

    /// <summary>Runs the steps that are left, and writes the finished model.</summary>
    /// <param name="run">One step: forward, backward, <see cref="Update"/>; returns its metrics and samples.</param>
    /// <param name="maySave">Whether all that the next step needs is in a checkpoint after this step.</param>
    /// <param name="tokenizerFolder">Whose tokenizer the finished model gets.</param>
    public StageResult Run(Func<int, StepRecord> run, Func<int, bool> maySave, string tokenizerFolder)
    {
        context.Journal.Begin(firstStep, options.MaxSteps);
        IReadOnlyList<Metric> last = [];
        var saveIsDue = false;
        for (var step = firstStep; step <= options.MaxSteps; step++)
        {
            context.Progress("step");
            ResidentMemory.ResetPeak();
            var clock = Stopwatch.StartNew();
            var record = run(step);
            // If we stop here: the update is lost with the process; the next attempt does it again from the last checkpoint.
            KillPoint.Pass("step-updated");
            last = [.. record.Metrics, new("skipped_updates", skipped), .. Memory(), new("step_time", clock.Elapsed.TotalSeconds), .. context.Times.Take()];
            context.Progress("journal");
            context.Journal.CommitStep(record with { Metrics = last });
            // If we stop here: the rows of steps after the last checkpoint are deleted by the next attempt's Begin, and written again.
            KillPoint.Pass("step-committed");
            foreach (var warning in warnings.Of(step, last)) context.Warn(warning);
            var stop = context.Journal.StopRequested;
            saveIsDue |= stop || step % options.SaveSteps == 0;
            if (step < options.MaxSteps && !(saveIsDue && maySave(step))) continue;
            Save(step);
            saveIsDue = false;
            if (stop && step < options.MaxSteps) throw new StageStoppedException();
        }
        context.Progress("model");
        Model.Save(context.ModelFolder);
        ModelFolder.CopyTokenizer(tokenizerFolder, context.ModelFolder);
        // If we stop here: the model is on disk and no row names it; the next attempt goes on from the last step's checkpoint and writes it again.
        KillPoint.Pass("model-written");
        return new(context.ModelFolder, null, last);
    }

    /// <summary>Stands from a step's first forward to its last backward: the precision of its products. Null is fp32.</summary>
    public BFloat16Products? Products() => options.BFloat16 ? new() : null;

    /// <summary>The model's forward pass of a micro-batch, and its way back.</summary>
    public TrainingPass Forward(TokenBatch tokens)
    {
        context.Progress("forward");
        if (tokens.Ids_BT.shape is [1, var length] && length > options.MaxTokensPerMicrobatch && !saidLong)
        {
            saidLong = true;
            context.Warn($"A row of {length} tokens is longer than max_tokens_per_microbatch ({options.MaxTokensPerMicrobatch}): it goes alone (in grpo without sharing its prompt), and takes more memory than that allows.");
        }
        return Model.Pass(tokens, options.GradientCheckpointing);
    }

    /// <summary>Clips the gradients that backward left, steps, and clears them. A parameter without a gradient counts as one of zeros. Gradients that are not finite change nothing but the count.</summary>
    /// <returns>The norm before clipping, and the rate.</returns>
    /// <exception cref="TrainingDivergedException">They were not finite in this step and the two before.</exception>
    public (double GradNorm, double LearningRate) Update(int step)
    {
        context.Progress("optimizer");
        var norm = Gradients.Norm(Model.Parameters);
        var (rate, finite) = (schedule.At(step), double.IsFinite(norm));
        (skipped, skippedInARow) = finite ? (skipped, 0) : (skipped + 1, skippedInARow + 1);
        if (skippedInARow == MostSkipped) throw new TrainingDivergedException($"The gradients of steps {step - MostSkipped + 1} to {step} were not finite: training has diverged. Lower learning_rate or max_grad_norm.");
        if (finite) optimizer.Step(rate, Gradients.Factor(norm, options.MaxGradNorm > 0 ? options.MaxGradNorm : double.PositiveInfinity));
        Gradients.Clear(Model.Parameters);
        return (norm, rate);
    }

    public void Dispose()
    {
        optimizer.Dispose();
        Model.Dispose();
    }

    /// <summary>On a CPU alone: what a GPU holds does not lie in this process.</summary>
    private IEnumerable<Metric> Memory() =>
        context.Request.Device == "cpu" && ResidentMemory.PeakBytes() is { } peak ? [new("memory/peak_bytes", peak)] : [];

    private void Save(int step)
    {
        context.Progress("checkpoint");
        JsonObject state = new() { ["num_tokens"] = Tokens, ["skipped"] = new JsonArray(skipped, skippedInARow), ["warnings"] = warnings.State };
        var record = store.Save(step, Model, optimizer, JsonSerializer.SerializeToElement(state), Beside?.Invoke());
        context.Journal.CommitCheckpoint(record);
        // If we stop here: the row stands, older folders are still there; the next checkpoint removes them.
        KillPoint.Pass("checkpoint-committed");
        store.RemoveOld();
    }
}
