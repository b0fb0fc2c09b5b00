// pretrain and sft: one loop over rows, cross-entropy on the targets (PromptEncoder.EncodeExample says which). They differ in where the weights come from.
using System.Diagnostics;
using System.Text.Json;
using Gradus.Training.Lora;
using Gradus.Training.Model;
using Gradus.Training.Stages;
using Gradus.Training.Text;
using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Sft;

internal static class SupervisedStage
{
    public static StageResult Run(SftOptions options, StageContext context)
    {
        var stored = context.Find(options.Model);
        return Run(options.Data, options.Supervised, options.Loop, stored.TextFolder, () => AdapterStart.Load(options.Model, stored, options.Adapter, context), context);
    }

    public static StageResult Run(PretrainOptions options, StageContext context)
    {
        var folder = context.Find(options.Model).WeightsFolder;
        var parsed = options.ConfigOf(folder);
        return Run(options.Data, options.Supervised, options.Loop, folder, () => CausalLm.Create(parsed, context.Seed, context.Request.Device), context);
    }

    private static StageResult Run(DatasetOptions data, SupervisedOptions options, LoopOptions loopOptions, string folder, Func<CausalLm> start, StageContext context)
    {
        var prompts = PromptEncoder.Load(folder);
        var order = RowOrder.Open(data, context);
        using var loop = new TrainingLoop(context, loopOptions, start);
        var longest = Math.Min(options.MaxLength, loop.Model.Config.MaxPositions);
        return loop.Run(Step, _ => true, folder);

        StepRecord Step(int step)
        {
            var clock = Stopwatch.StartNew();
            TokenRow[] rows = [.. order.Batch(step, options.BatchSize).Select(Encode).Where(r => r.FirstTarget < r.Tokens.Length)];
            var targets = rows.Sum(r => (long)r.Tokens.Length - r.FirstTarget);
            double loss = 0, entropy = 0;
            using (loop.Products())
            {
                foreach (var (number, micro) in MicroBatches(rows, options, loopOptions).Index())
                {
                    using var scope = NewDisposeScope();
                    using var dropout = loop.Model.Adapter?.Drop(context.Seed, step, number);
                    using var tokens = options.Packing ? TokenBatch.Pack(micro, longest, context.Request.Device) : TokenBatch.Create(micro, context.Request.Device);
                    var pass = loop.Forward(tokens);
                    var (logProbs_N, entropy_N) = pass.LogProbs();
                    // The mean over all targets of the step, whatever the micro-batches.
                    var part = logProbs_N.sum() * (-1.0 / targets);
                    context.Progress("backward");
                    pass.Backward(part);
                    loss += part.item<float>();
                    entropy += entropy_N.sum().item<float>();
                }
            }
            var seen = rows.Sum(r => (long)r.Tokens.Length);
            loop.Tokens += seen;
            var (norm, rate) = loop.Update(step);
            return new(step,
            [
                new("loss", loss), new("entropy", entropy / Math.Max(1, targets)), new("grad_norm", norm), new("learning_rate", rate), new("num_tokens", loop.Tokens),
                new("train_tokens_per_second", seen / clock.Elapsed.TotalSeconds),
            ], []);
        }

        TokenRow Encode(JsonElement row)
        {
            var (tokens, first) = prompts.EncodeExample(row);
            if (tokens.Length > longest) tokens = tokens[..longest];
            return new(tokens, options.CompletionOnlyLoss ? Math.Min(first, tokens.Length) : 1);
        }
    }

    /// <summary>Padded lines hold rows of like length; packed ones as many rows as the budget has tokens.</summary>
    private static IEnumerable<TokenRow[]> MicroBatches(TokenRow[] rows, SupervisedOptions options, LoopOptions loop)
    {
        if (rows.Length == 0) return [];
        if (!options.Packing) return TokenBatch.Split([.. rows.Select(r => r.Tokens.Length)], loop.MaxTokensPerMicrobatch).Select(m => m.Select(i => rows[i]).ToArray());
        List<TokenRow[]> batches = [];
        List<TokenRow> open = [];
        foreach (var row in rows)
        {
            if (open.Count > 0 && open.Sum(r => r.Tokens.Length) + row.Tokens.Length > loop.MaxTokensPerMicrobatch)
            {
                batches.Add([.. open]);
                open.Clear();
            }
            open.Add(row);
        }
        batches.Add([.. open]);
        return batches;
    }
}
