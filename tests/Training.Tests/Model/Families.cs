using Gradus.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Model;

/// <summary>A tiny model of each family and of each part that a config chooses.</summary>
internal static class Families
{
    public static IReadOnlyDictionary<string, ModelConfig> All { get; } = new Dictionary<string, ModelConfig>
    {
        ["qwen2, narrow heads"] = Tiny.Config,
        ["qwen2, yarn"] = Tiny.Config with { Rope = new RotaryScaling("yarn", 4) { OriginalPositions = 64 } },
        ["llama"] = new("llama", 62, 128, 2, 4, 4, 32, 336, 1e-6, 10_000, 256, TieEmbeddings: true, QkvBias: false, [1], 0, null),
        ["llama, untied, odd widths"] = new("llama", 101, 36, 3, 6, 3, 20, 50, 1e-5, 500_000, 128, TieEmbeddings: false, QkvBias: false, [1], 0, null),
        ["llama 3.1, biases"] = new("llama", 60, 32, 2, 4, 2, 16, 48, 1e-5, 500_000, 256, TieEmbeddings: false, QkvBias: true, [1], 0, null)
        {
            OutputBias = true, FeedForwardBias = true, Rope = new RotaryScaling("llama3", 8) { OriginalPositions = 32, LowFrequencyFactor = 1, HighFrequencyFactor = 4 },
        },
        ["mistral, linear"] = new("mistral", 60, 32, 2, 4, 1, 16, 48, 1e-5, 10_000, 128, TieEmbeddings: false, QkvBias: false, [1], 0, null) { Rope = new RotaryScaling("linear", 2) },
        ["qwen3"] = new("qwen3", 60, 32, 2, 4, 2, 24, 48, 1e-6, 1e6, 256, TieEmbeddings: true, QkvBias: false, [1], 0, null) { QueryKeyNorm = true },
        ["deepseek_v3"] = DeepSeek,
        ["deepseek_v3, whole queries, one group"] = DeepSeek with { Latent = DeepSeek.Latent! with { QueryRank = null, Interleaved = false }, Experts = DeepSeek.Experts! with { Groups = 1, GroupsPerToken = 1, Normalised = false } },
    };

    public static ModelConfig DeepSeek => new("deepseek_v3", 60, 32, 3, 4, 4, 12, 48, 1e-6, 10_000, 128, TieEmbeddings: false, QkvBias: false, [1], 0, null)
    {
        Latent = new LatentShape(16, 12, 8, 4, 10, Interleaved: true),
        Experts = new ExpertShape(8, 3, 1, 20, 4, 2, 2.5, Normalised: true, 1),
        Rope = new RotaryScaling("yarn", 8) { OriginalPositions = 16, Mscale = 1, MscaleAllDim = 1 },
    };

    /// <summary>A model whose norms and biases are not the ones and zeros they begin with.</summary>
    public static CausalLm Create(string name, long seed)
    {
        var model = CausalLm.Create(All[name], seed);
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        foreach (var (weight, vector) in model.Stored.Where(weight => weight.Value.dim() == 1))
        {
            var random = DerivedRandom.For(seed, "vectors/" + weight);
            vector.add_(torch.tensor(Enumerable.Range(0, (int)vector.numel()).Select(_ => (float)(0.2 * random.NextGaussian())).ToArray()));
        }
        return model;
    }
}
