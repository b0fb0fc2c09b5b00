using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Optimizer;

/// <summary>What is done with all gradients at once.</summary>
public static class Gradients
{
    /// <summary>
    /// Scales all gradients so that their common norm is at most <paramref name="max"/>, as PyTorch's clip_grad_norm_: norms of tensors in fp32, then the norm of
    /// those, and the factor max / (norm + 1e-6) where that is below 1.
    /// </summary>
    /// <param name="max">Above 0; infinity only measures.</param>
    /// <returns>The norm before; 0 without any gradient; not finite where a gradient is not (then nothing is scaled).</returns>
    public static double ClipNorm(IEnumerable<KeyValuePair<string, Tensor>> parameters, double max)
    {
        var norm = Norm(parameters);
        var factor = Factor(norm, max);
        if (factor < 1)
        {
            using var scope = NewDisposeScope();
            using var noGradient = no_grad();
            foreach (var (_, tensor) in parameters) tensor.grad?.mul_(factor);
        }
        return norm;
    }

    /// <summary>The common norm of all gradients; 0 without any, not finite where one is not.</summary>
    public static double Norm(IEnumerable<KeyValuePair<string, Tensor>> parameters)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var gradients = parameters.Select(parameter => parameter.Value.grad).OfType<Tensor>().ToArray();
        return gradients.Length == 0 ? 0 : stack(gradients.Select(gradient => gradient.norm()).ToArray()).norm().item<float>();
    }

    /// <summary>What clipping multiplies gradients of that norm by, at most 1; 1 where the norm is not finite.</summary>
    public static double Factor(double norm, double max)
    {
        if (!(max > 0)) throw new ArgumentOutOfRangeException(nameof(max), max, "The largest norm must be above 0.");
        return double.IsFinite(norm) ? Math.Min(1, max / (norm + 1e-6)) : 1;
    }

    /// <summary>Forgets all gradients, so that the next backward begins anew.</summary>
    public static void Clear(IEnumerable<KeyValuePair<string, Tensor>> parameters)
    {
        foreach (var (_, tensor) in parameters)
        {
            using var gradient = tensor.grad;
            tensor.grad = null;
        }
    }
}
