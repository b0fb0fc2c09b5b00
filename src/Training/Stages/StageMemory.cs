using System.Text.Json;
using Gradus.Training.Evaluation;
using Gradus.Training.Grpo;
using Gradus.Training.Lora;
using Gradus.Training.Model;
using Gradus.Training.Model.Cpu;
using Gradus.Training.Rollouts;
using Gradus.Training.Sft;

namespace Gradus.Training.Stages;

/// <summary>What a stage computes with, as far as its memory goes.</summary>
/// <param name="AdapterWeights">Of the adapter that the model is; null where it is a whole model.</param>
/// <param name="Rows">Null where the rows are not there yet: the options' bounds are taken.</param>
public sealed record StageMaterial(ModelConfig Config, long? AdapterWeights, RowTokens? Rows);

/// <summary>How long rows are (in grpo and the like: their prompts), in tokens.</summary>
public sealed record RowTokens(int Longest, double Mean);

/// <summary>From a stage's options to its memory, and what other options would need.</summary>
public static class StageMemory
{
    /// <summary>A prompt's tokens where nothing is known.</summary>
    private const int UsualPrompt = 256;

    /// <summary>From this length on GrpoBatch puts no further rollout into a line.</summary>
    private const int CostlyLine = 1000;

    private static readonly AdapterOptions plainAdapter = AdapterOptions.Read(new(JsonDocument.Parse("""{"adapter":{}}""").RootElement, ""))!;

    /// <summary>What the stage needs; null where it computes with no model.</summary>
    public static MemoryEstimate? Of(StageOptions options, StageMaterial material) => Work(options, material) is { } work ? MemoryEstimate.Of(material.Config, work) : null;

    /// <exception cref="InvalidInputException">A sequence can never fit into the cache that the options allow.</exception>
    /// <param name="path">Where the options stand.</param>
    public static void CheckCache(StageOptions options, StageMaterial material, string path)
    {
        if (RolloutsOf(options) is not { } rollouts) return;
        var (prompt, completion) = Row(rollouts, material);
        // Where the rows are not known, what is certain.
        RolloutCache.Check(rollouts, material.Config, material.Rows is null ? 1 : prompt, completion, path);
    }

    /// <summary>How a stage samples; null where it does not.</summary>
    public static RolloutOptions? RolloutsOf(StageOptions options) => options switch
    {
        GrpoOptions grpo => grpo.Rollouts,
        RejectionSamplingOptions rejection => rejection.Rollouts,
        EvaluateOptions evaluate => evaluate.Rollouts,
        _ => null,
    };

    /// <summary>Weights of the adapter that a stage makes; null where it makes none.</summary>
    /// <exception cref="InvalidInputException">The adapter names no map of the model.</exception>
    public static long? AdapterWeights(StageOptions options, ModelConfig config) =>
        ((options as SftOptions)?.Adapter ?? (options as GrpoOptions)?.Adapter) is { } adapter ? Maps(adapter, config).Sum(map => map.Rank * (map.Outputs + map.Inputs)) : null;

    /// <summary>Changes of the options that need at most <paramref name="bytes"/>, each in words with what it needs then.</summary>
    public static IReadOnlyList<(string Change, MemoryEstimate Estimate)> Fitting(StageOptions options, StageMaterial material, long bytes)
    {
        if (LoopOf(options) is not { } loop) return [];
        List<(string Change, StageOptions Options)> tried = [];
        var again = With(options, loop with { GradientCheckpointing = true });
        if (!loop.GradientCheckpointing) tried.Add(("gradient_checkpointing", again));
        if (WithAdapter(options, material) is { } adapted) tried.Add(("an adapter (adapter: {})", adapted));
        List<(string Change, MemoryEstimate Estimate)> fitting = [];
        if (Largest(options) is { } smaller) fitting.Add(smaller);
        foreach (var (change, changed) in tried)
        {
            if (Of(changed, material)! is var needed && needed.Total <= bytes) fitting.Add((change, needed));
        }
        if (fitting.Count > 0) return fitting;
        // One change is not enough: with a smaller micro-batch, or all of them.
        if (WithAdapter(again, material) is { } all) tried.Add(("gradient_checkpointing and an adapter", all));
        return [.. tried.Select(one => (one.Change, Budget: Largest(one.Options))).Where(one => one.Budget is not null)
            .Select(one => ($"{one.Change} and {one.Budget!.Value.Change}", one.Budget!.Value.Estimate)).Take(2)];

        // The largest power of two below the budget.
        (string Change, MemoryEstimate Estimate)? Largest(StageOptions start)
        {
            for (var budget = 1 << 20; budget >= 16; budget /= 2)
            {
                if (budget >= loop.MaxTokensPerMicrobatch) continue;
                var changed = With(start, LoopOf(start)! with { MaxTokensPerMicrobatch = budget });
                if (Of(changed, material)! is var needed && needed.Total <= bytes) return ($"max_tokens_per_microbatch {budget}", needed);
            }
            return null;
        }
    }

    private static MemoryWork? Work(StageOptions options, StageMaterial material) => options switch
    {
        PretrainOptions pretrain => Supervised(pretrain.Supervised, pretrain.Loop, null, material),
        SftOptions sft => Supervised(sft.Supervised, sft.Loop, sft.Adapter, material),
        GrpoOptions grpo => Group(grpo, material),
        RejectionSamplingOptions rejection => Sampled(new(0, 0, 0), rejection.Rollouts, material),
        EvaluateOptions evaluate => Sampled(new(0, 0, 0), evaluate.Rollouts, material),
        _ => null,
    };

    private static MemoryWork Supervised(SupervisedOptions options, LoopOptions loop, AdapterOptions? adapter, StageMaterial material)
    {
        var most = Math.Min(options.MaxLength, material.Config.MaxPositions);
        var line = Math.Min(most, material.Rows?.Longest ?? most);
        // A step's rows are as long as the mean, but for one; lines are filled to nine tenths.
        var step = material.Rows is { } rows ? (long)Math.Min((double)options.BatchSize * line, ((options.BatchSize * Math.Min(line, rows.Mean)) + line) / 0.9) : (long)options.BatchSize * line;
        var tokens = Math.Max(line, Math.Min(loop.MaxTokensPerMicrobatch, step));
        var uneven = material.Rows is { Longest: > 0 } known ? 1 - (Math.Min(line, known.Mean) / line) : 0;
        return Trained(new(tokens, line, tokens) { Uneven = uneven }, loop, adapter, material);
    }

    private static MemoryWork Group(GrpoOptions options, StageMaterial material)
    {
        var rollouts = options.Rollouts;
        var (prompt, completion) = Row(rollouts, material);
        // A group's rollouts share their prompt in lines.
        var line = Math.Max(prompt + completion, Math.Min(CostlyLine, prompt + (rollouts.NumGenerations * completion)));
        var tokens = Math.Max(prompt + completion, Math.Min(options.Loop.MaxTokensPerMicrobatch, (long)rollouts.PromptsPerStep * rollouts.NumGenerations * (prompt + completion)));
        var work = Trained(new(tokens, (int)Math.Min(line, tokens), tokens), options.Loop, options.Adapter, material);
        return Sampled(work with { Reference = options.Loss.Beta > 0 && work.Trained is null }, rollouts, material);
    }

    private static MemoryWork Sampled(MemoryWork work, RolloutOptions rollouts, StageMaterial material)
    {
        var (prompt, completion) = Row(rollouts, material);
        var sequences = Math.Min(rollouts.MaxSequences, (long)rollouts.PromptsPerStep * rollouts.NumGenerations);
        // What samples in bf16 has a copy of the weights, as what trains in it.
        return work with
        {
            Sequences = sequences, CacheBytes = RolloutCache.Bytes(rollouts, material.Config, sequences, rollouts.PromptsPerStep, prompt, completion), BFloat16 = work.BFloat16 || rollouts.BFloat16,
        };
    }

    private static MemoryWork Trained(MemoryWork work, LoopOptions loop, AdapterOptions? adapter, StageMaterial material)
    {
        work = work with
        {
            BFloat16 = loop.BFloat16, Recompute = loop.GradientCheckpointing, Trained = material.AdapterWeights,
            Kernels = adapter is null && material.AdapterWeights is null && KernelPass.Supports(material.Config),
        };
        if (adapter is null) return work;
        var maps = Maps(adapter, material.Config);
        return work with
        {
            Trained = maps.Sum(map => map.Rank * (map.Outputs + map.Inputs)),
            // A(x), B of it, its multiple, and the sum; the dropped input and its mask.
            AdapterFloats = maps.Sum(map => map.Rank + (3 * map.Outputs) + (adapter.Config.Dropout > 0 ? 2 * map.Inputs : 0)),
        };
    }

    private static IReadOnlyList<(long Rank, long Outputs, long Inputs)> Maps(AdapterOptions adapter, ModelConfig config)
    {
        var shapes = WeightNames.Of(config).Where(weight => weight.Shape.Length == 2 && weight.Name != WeightNames.Embedding)
            .ToDictionary(weight => weight.Name[..^".weight".Length], weight => weight.Shape);
        return [.. adapter.Targets.Choose([.. shapes.Keys], adapter.Path).Select(map => ((long)adapter.Config.RankOf(map), shapes[map][0], shapes[map][1]))];
    }

    private static (int Prompt, int Completion) Row(RolloutOptions rollouts, StageMaterial material)
    {
        var completion = Math.Min(rollouts.MaxCompletionLength, material.Config.MaxPositions - 1);
        return (Math.Max(1, Math.Min(material.Rows?.Longest ?? UsualPrompt, material.Config.MaxPositions - completion)), completion);
    }

    private static StageOptions? WithAdapter(StageOptions options, StageMaterial material) => options switch
    {
        // What a plain adapter is laid on; other families have other maps.
        _ when material.AdapterWeights is not null || !WeightNames.Of(material.Config).Any(weight => weight.Name.EndsWith("v_proj.weight", StringComparison.Ordinal)) => null,
        SftOptions { Adapter: null } sft => sft with { Adapter = plainAdapter },
        GrpoOptions { Adapter: null } grpo => grpo with { Adapter = plainAdapter },
        _ => null,
    };

    /// <summary>The training options of a stage; null where it trains nothing.</summary>
    public static LoopOptions? LoopOf(StageOptions options) => options switch
    {
        PretrainOptions pretrain => pretrain.Loop,
        SftOptions sft => sft.Loop,
        GrpoOptions grpo => grpo.Loop,
        _ => null,
    };

    private static StageOptions With(StageOptions options, LoopOptions loop) => options switch
    {
        PretrainOptions pretrain => pretrain with { Loop = loop },
        SftOptions sft => sft with { Loop = loop },
        GrpoOptions grpo => grpo with { Loop = loop },
        _ => options,
    };
}
