using Gradus.Training.Inference.Cpu;
using Gradus.Training.Model;

namespace Gradus.Training.Inference;

/// <summary>Chooses the decoder of a model: our own vectors where processor and model allow it, else libtorch. Both give the same numbers within 1e-4.</summary>
public static class Decoders
{
    /// <param name="ownsModel">Whether the model is disposed with its decoder.</param>
    public static IDecoder For(CausalLm model, bool ownsModel = false) =>
        VectorDecoder.Supports(model) ? new VectorDecoder(model, TorchSharp.torch.get_num_threads(), ownsModel) : new TorchDecoder(model, ownsModel);
}
