using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Optimizer;

/// <summary>
/// Adam with decoupled weight decay (Loshchilov, Hutter 2019), operation by operation as PyTorch's single-tensor form, so that its weights are the same bits.
/// A parameter without a gradient counts as one with zeros: its means fade and its weights decay. (PyTorch passes over it; a step in which no group
/// had a spread must still count, as it does in TRL, where such a step's gradient is zero.)
/// </summary>
public sealed class AdamW : IDisposable
{
    private readonly AdamWOptions options;
    private readonly KeyValuePair<string, Tensor>[] parameters;
    private readonly Tensor[] means;
    private readonly Tensor[] squares;

    public AdamW(IEnumerable<KeyValuePair<string, Tensor>> parameters, AdamWOptions options)
    {
        this.options = options.Validated();
        this.parameters = [.. parameters];
        means = [.. this.parameters.Select(parameter => Zeros(parameter.Value))];
        squares = [.. this.parameters.Select(parameter => Zeros(parameter.Value))];
    }

    /// <summary>Updates made so far; part of a checkpoint, because the means' correction depends on it.</summary>
    public long Steps { get; private set; }

    /// <summary>The state by name (<c>mean.NAME</c>, <c>square.NAME</c>), in place.</summary>
    public IEnumerable<KeyValuePair<string, Tensor>> State =>
        parameters.SelectMany((parameter, i) => new KeyValuePair<string, Tensor>[] { new("mean." + parameter.Key, means[i]), new("square." + parameter.Key, squares[i]) });

    /// <summary>Goes on from a state whose tensors were written into <see cref="State"/>.</summary>
    public void Resume(long steps)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(steps);
        Steps = steps;
    }

    /// <summary>One update of every parameter in place.</summary>
    /// <param name="learningRate">At least 0.</param>
    /// <param name="clip">What the gradients are multiplied by first (<see cref="Gradients.Factor"/>); they themselves stay as they are.</param>
    public void Step(double learningRate, double clip = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(learningRate);
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        Steps++;
        var meanCorrection = 1 - Math.Pow(options.Beta1, Steps);
        var squareCorrection = Math.Sqrt(1 - Math.Pow(options.Beta2, Steps));
        var factors = new UpdateFactors(
            (float)(1 - (learningRate * options.WeightDecay)), (float)options.Beta1, (float)(1 - options.Beta1), (float)options.Beta2, (float)(1 - options.Beta2),
            (float)squareCorrection, (float)options.Epsilon, (float)(-learningRate / meanCorrection), (float)clip);
        for (var i = 0; i < parameters.Length; i++)
        {
            var (weights, gradient) = (parameters[i].Value, parameters[i].Value.grad);
            if (FusedUpdate.Supports(weights) && (gradient is null || FusedUpdate.Supports(gradient))) FusedUpdate.Run(weights, gradient, means[i], squares[i], factors);
            else Update(weights, gradient, means[i], squares[i], factors);
        }
    }

    /// <summary>The update by tensor operations, on any device.</summary>
    internal static void Update(Tensor weights, Tensor? gradient, Tensor mean, Tensor square, UpdateFactors factors)
    {
        if (factors.Decay != 1) weights.mul_(factors.Decay);
        mean.mul_(factors.Beta1);
        square.mul_(factors.Beta2);
        if (gradient is not null)
        {
            using var clipped = factors.Clip == 1 ? null : gradient * factors.Clip;
            gradient = clipped ?? gradient;
            mean.add_(gradient, factors.RestOfBeta1);
            square.addcmul_(gradient, gradient, factors.RestOfBeta2);
        }
        using var divisor = square.sqrt().div_(factors.SquareCorrection).add_(factors.Epsilon);
        weights.addcdiv_(mean, divisor, factors.Rate);
    }

    public void Dispose()
    {
        foreach (var tensor in means.Concat(squares)) tensor.Dispose();
    }

    private static Tensor Zeros(Tensor like)
    {
        using var noGradient = no_grad();
        return zeros_like(like).DetachFromDisposeScope();
    }
}
