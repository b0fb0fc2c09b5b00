using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Model;

/// <summary>A forward pass that is to be gone back through once. All its tensors belong to the dispose scope in which it was made and gone back through.</summary>
public abstract class TrainingPass
{
    /// <summary>The state after the final norm, [B, T, D].</summary>
    public abstract Tensor Hidden_BTD { get; }

    /// <summary>As <see cref="Model.LogProbs.Of"/> computes them; once.</summary>
    public abstract (Tensor LogProbs_N, Tensor Entropy_N) LogProbs(double temperature = 1);

    /// <summary>Adds the gradients of a scalar that was computed from the log-probabilities, or from <see cref="Hidden_BTD"/>, to the weights.</summary>
    public abstract void Backward(Tensor loss);
}
