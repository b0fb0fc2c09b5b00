using Gradus.Training.Model;
using Gradus.Training.Model.Cpu;

namespace Gradus.Training.Stages;

/// <summary>How much a stage computes and keeps at once.</summary>
/// <param name="Tokens">Of the largest micro-batch, padding included; 0 where nothing is trained.</param>
/// <param name="Line">Positions of its longest line.</param>
/// <param name="Targets">Tokens of it that are predicted.</param>
public sealed record MemoryWork(long Tokens, int Line, long Targets)
{
    /// <summary>How much rows differ in length, from 0 (not at all) towards 1: the longest is far above the mean.</summary>
    public double Uneven { get; init; }

    /// <summary>Weights with a gradient; null is all of them.</summary>
    public long? Trained { get; init; }

    /// <summary>Floats that adapters keep of a token, all layers together.</summary>
    public long AdapterFloats { get; init; }

    /// <summary>Whether a second, frozen copy of the weights is held.</summary>
    public bool Reference { get; init; }

    /// <summary>See <see cref="LoopOptions.BFloat16"/>.</summary>
    public bool BFloat16 { get; init; }

    /// <summary>See <see cref="LoopOptions.GradientCheckpointing"/>.</summary>
    public bool Recompute { get; init; }

    /// <summary>Whether our own kernels train it (<see cref="KernelPass"/>), not autograd.</summary>
    public bool Kernels { get; init; }

    /// <summary>Sequences decoded at once.</summary>
    public long Sequences { get; init; }

    /// <summary>Bytes of their keys and values.</summary>
    public long CacheBytes { get; init; }
}

/// <summary>
/// What a stage's process will hold at its peak on a CPU, in bytes, from the model's shape and the stage's work alone. Counted is every tensor that stands when the
/// first layer's way back begins; the numbers of <see cref="LayerFloats"/> follow <see cref="DecoderBlock"/> operation by operation, those of <see cref="KernelBytes"/> <see cref="KernelLayer"/>. EstimateTests (tests/Api.Tests) holds it against
/// what was measured (docs/log.md).
/// </summary>
public sealed record MemoryEstimate(long Process, long Weights, long Gradients, long Optimizer, long Activations, long Logits, long Cache, long Holes)
{
    /// <summary>.NET, libtorch and the tokenizer, before any weight: measured.</summary>
    private const long Alone = 300_000_000;

    /// <summary>Logits are computed in parts of so many elements (<see cref="LogProbs"/>).</summary>
    private const long LogitsPart = 1L << 24;

    private const int Float = 4, Half = 2;

    /// <summary>
    /// Freed blocks of one micro-batch's logits do not fit the next one's: measured on GSM8K's rows with SmolLM2 (202 tokens in the mean, 506 the longest; 0.34 GB of logits),
    /// 1.35 GB beyond the tensors in full training, 0.73 with an adapter; none with small vocabularies.
    /// </summary>
    private const double HolesOfUneven = 6;

    public long Total => Process + Weights + Gradients + Optimizer + Activations + Logits + Cache + Holes;

    public static MemoryEstimate Of(ModelConfig config, MemoryWork work)
    {
        long[] sizes = [.. WeightNames.Of(config).Select(weight => weight.Shape.Aggregate(1L, (product, size) => product * size))];
        long all = sizes.Sum(), trained = work.Tokens == 0 ? 0 : work.Trained ?? all, embedding = (long)config.VocabularySize * config.HiddenSize;
        var whole = trained == all;
        var logits = LogitBytes(config, work);
        return new(
            Alone,
            (all * Float * (work.Reference ? 2 : 1)) + (work.BFloat16 ? all * Half : 0),
            // By autograd the embedding's two gradients stand beside their sum; kernels add to one, in bf16 by way of the product's own.
            trained * Float + (!whole ? 0 : work.Kernels ? (work.BFloat16 ? embedding * Half : 0) : 2 * embedding * Float),
            // The means, the squares, and the divisor of the largest weight.
            (2 * trained * Float) + (whole ? sizes.Max() * Float : 0),
            ActivationBytes(config, work),
            logits,
            work.CacheBytes + (2 * work.Sequences * config.VocabularySize * Float),
            (long)(HolesOfUneven * work.Uneven * (work.Kernels ? logits / 2 : logits)));
    }

    /// <summary>For people: <c>5.3 GB: weights 0.54, gradients 0.77, ...</c></summary>
    public override string ToString() =>
        FormattableString.Invariant($"{Total / 1e9:0.0#} GB: weights {Weights / 1e9:0.0#}, gradients {Gradients / 1e9:0.0#}, optimizer {Optimizer / 1e9:0.0#}, activations {Activations / 1e9:0.0#}, logits {Logits / 1e9:0.0#}, cache {Cache / 1e9:0.0#}, holes between tensors {Holes / 1e9:0.0#}, the process itself {Process / 1e9:0.0#}");

    private static long ActivationBytes(ModelConfig config, MemoryWork work)
    {
        if (work.Tokens == 0) return 0;
        if (work.Kernels) return KernelBytes(config, work);
        long[] layers = [.. Enumerable.Range(0, config.Layers).Select(layer => (LayerFloats(config, layer, work.Line) * Float) + (work.BFloat16 ? LayerHalves(config) * Half : 0))];
        // One layer's gradients and scores stand beside what is kept; recomputed, all that is kept of the others is their input.
        var layer = layers.Max();
        var kept = work.Recompute ? layer + ((config.Layers + 1L) * config.HiddenSize * Float) : layers.Sum();
        long group = config.Heads / config.KeyValueHeads, mask = 2 * group * work.Line * Float;
        return work.Tokens * (kept + layer + (work.AdapterFloats * Float) + (2L * config.Heads * work.Line * Float) + mask);
    }

    /// <summary>What kernels keep of all tokens: of each layer its input and middle in fp32, and what its products read in their precision; beside that one layer's gradients.</summary>
    private static long KernelBytes(ModelConfig config, MemoryWork work)
    {
        long width = config.HiddenSize, queries = (long)config.Heads * config.HeadDim, joined = queries + (2L * config.KeyValueHeads * config.HeadDim), inner = config.FeedForwardSize, cell = work.BFloat16 ? Half : Float;
        var layer = (2 * width * Float) + (((2 * width) + joined + queries + (3 * inner)) * cell);
        var gradients = (3 * width * Float) + (((4 * width) + joined + queries + (3 * inner)) * cell);
        var kept = work.Recompute ? layer + ((config.Layers + 1L) * width * Float) : config.Layers * layer;
        return work.Tokens * (kept + gradients);
    }

    /// <summary>Floats that one layer keeps of a token: two norms of three each, the heads before and after they turn, the softmax, the mixed values, both residuals, the feed-forward's four.</summary>
    private static long LayerFloats(ModelConfig config, int layer, int line)
    {
        long width = config.HiddenSize, queries = (long)config.Heads * config.HeadDim, keys = (long)config.KeyValueHeads * config.HeadDim;
        // Experts see a token's state once each; sorted, computed, joined, weighted and put back.
        var feedForward = config.HasExperts(layer) && config.Experts is { } experts
            ? (5 * experts.PerToken * width) + (4L * (experts.PerToken + experts.Shared) * experts.Width)
            : 4L * config.FeedForwardSize;
        return (10 * width) + (8 * queries) + (7 * keys) + feedForward + ((long)config.Heads * line);
    }

    /// <summary>Halves beside them: the inputs of the seven linear maps.</summary>
    private static long LayerHalves(ModelConfig config) => (5L * config.HiddenSize) + ((long)config.Heads * config.HeadDim) + config.FeedForwardSize;

    /// <summary>Log-probabilities of every target are kept; of one part, the gradients of them and of the logits.</summary>
    private static long LogitBytes(ModelConfig config, MemoryWork work)
    {
        // Kernels keep the logits alone, beside the states that they come from and their gradients; the block that one step's leave is cut up by the gradients, and the next step's find none as large.
        if (work.Kernels) return work.Targets * ((2L * config.VocabularySize * (work.BFloat16 ? Half : Float)) + (4L * config.HiddenSize * Float));
        long vocabulary = config.VocabularySize, part = Math.Min(work.Targets, Math.Max(1, LogitsPart / vocabulary));
        return vocabulary * ((work.Targets * Float) + (part * ((2 * Float) + (work.BFloat16 ? 2 * Half : 0))));
    }
}
