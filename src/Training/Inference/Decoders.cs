using Gradus.Training.Inference.Cpu;
using Gradus.Training.Model;

namespace Gradus.Training.Inference;

/// <summary>Chooses the decoder of a model: our own kernels where processor and model allow it, else libtorch. In fp32 both give the same numbers within 1e-4.</summary>
public static class Decoders
{
    /// <param name="ownsModel">Whether the model is disposed with its decoder.</param>
    /// <param name="bfloat16">Products in bf16 where the processor has them.</param>
    public static IDecoder For(CausalLm model, bool ownsModel = false, bool bfloat16 = false) =>
        VectorDecoder.Supports(model) ? new VectorDecoder(model, TorchSharp.torch.get_num_threads(), ownsModel, bfloat16 && VectorDecoder.SupportsBFloat16) : new TorchDecoder(model, ownsModel);
}
