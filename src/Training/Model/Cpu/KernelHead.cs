using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Model.Cpu;

/// <summary>
/// The last norm, the head, and log-probabilities of the targets with the entropies they came from: <see cref="LogProbs.Of"/> forward and by hand backward. The one tensor of the
/// vocabulary's width holds the logits, then their gradients, in the precision of the products.
/// </summary>
// Shapes: N targets, V vocabulary, D width.
internal sealed class KernelHead(RmsNorm norm, Linear head, double temperature)
{
    private readonly JoinedMaps map = new(head);
    private Tensor? states_ND, normed, scale_N, logits_NV, logs_N, targets_N;

    /// <param name="states_ND">The state that predicts each target.</param>
    public (Tensor LogProbs_N, Tensor Entropy_N) Forward(Tensor states_ND, Tensor targets_N)
    {
        var count = states_ND.shape[0];
        Tensor logProbs_N = empty(count), entropy_N = empty(count);
        (this.states_ND, this.targets_N, scale_N, logs_N) = (states_ND, targets_N, empty(count), empty(count));
        normed = empty(states_ND.shape, BFloat16Products.Current is null ? ScalarType.Float32 : ScalarType.BFloat16);
        TrainingKernels.Norm(states_ND, null, null, norm, normed, scale_N);
        logits_NV = map.Forward(normed);
        TrainingKernels.Vocabulary(logits_NV, targets_N, 1 / temperature, logProbs_N, entropy_N, logs_N);
        return (logProbs_N, entropy_N);
    }

    /// <summary>The gradient of the states, [N, D]; adds those of the weights, and frees what was kept.</summary>
    public Tensor Backward(Tensor gradients_N)
    {
        TrainingKernels.VocabularyBack(logits_NV!, targets_N!, 1 / temperature, gradients_N, logs_N!);
        using var dnormed = map.Backward(logits_NV!, normed!);
        logits_NV!.Dispose();
        var dstates_ND = empty(states_ND!.shape);
        TrainingKernels.NormBack(states_ND, norm, scale_N!, dnormed, null, dstates_ND, null);
        return dstates_ND;
    }
}
