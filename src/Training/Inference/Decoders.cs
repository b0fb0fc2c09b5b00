using Gradus.Training.Inference.Cpu;
using Gradus.Training.Model;

namespace Gradus.Training.Inference;

/// <summary>Chooses the decoder of a model: our own kernels where processor and model allow it, else libtorch. In fp32 both give the same numbers within 1e-4.</summary>
public static class Decoders
{
    /// <summary>Positions that are shared, or not, together.</summary>
    public const int PagePositions = PageShape.Positions;

    /// <param name="ownsModel">Whether the model is disposed with its decoder.</param>
    /// <param name="bfloat16">Products in bf16 where the processor has them.</param>
    public static IDecoder For(CausalLm model, bool ownsModel = false, bool bfloat16 = false) =>
        VectorDecoder.Supports(model) ? new VectorDecoder(model, TorchSharp.torch.get_num_threads(), ownsModel, bfloat16 && VectorDecoder.SupportsBFloat16) : new TorchDecoder(model, ownsModel);

    /// <summary>Whether sequences that begin alike keep that once, on a CPU: with our own kernels, which have neither latent attention nor experts.</summary>
    public static bool SharesPages(ModelConfig config) => config.Latent is null && config.Experts is null;

    /// <summary>Bytes of keys and values of one sequence, in either decoder at most.</summary>
    public static long CacheBytesOf(ModelConfig config, int positions) =>
        SharesPages(config) ? PageShape.Pages(positions) * new PageShape(config.Layers, config.KeyValueHeads, config.HeadDim).Bytes : positions * KvCache.BytesOfPosition(config);
}
