using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace Gradus.Training.Model.Cpu;

/// <summary>
/// Linear maps that read the same input, with one output beside the other: in bf16 one product, forward and backward, on a copy of the weights that
/// <see cref="BFloat16Products"/> keeps for the step; in fp32 one for each, on the weights in place. Biases are the caller's. Gradients go straight into the weights'.
/// </summary>
// Shapes: N tokens, I inputs, O outputs of all maps together.
internal sealed class JoinedMaps(params Linear[] maps)
{
    private readonly long outputs = maps.Sum(map => map.Weight.shape[0]);

    public IReadOnlyList<Linear> Maps => maps;

    /// <summary>[N, I] to [N, O], in the precision of the input.</summary>
    public Tensor Forward(Tensor x_NI)
    {
        if (BFloat16Products.Current is { } products) return F.linear(x_NI, products.Join(this));
        if (maps.Length == 1) return F.linear(x_NI, maps[0].Weight);
        var y_NO = empty(x_NI.shape[0], outputs);
        Each((map, from, count) =>
        {
            using Tensor part = y_NO.narrow(1, from, count), transposed = map.Weight.T;
            part.addmm_(x_NI, transposed, 0, 1);
        });
        return y_NO;
    }

    /// <summary>The gradient of the input, [N, I]; adds those of the weights.</summary>
    public Tensor Backward(Tensor dy_NO, Tensor x_NI)
    {
        if (BFloat16Products.Current is { } products)
        {
            if (maps.Any(map => map.Weight.requires_grad))
            {
                using var gradient_OI = dy_NO.T.matmul(x_NI);
                Each((map, from, count) =>
                {
                    if (map.Weight.requires_grad) TrainingKernels.AddGradient(map.Weight, gradient_OI, from, from + count);
                });
            }
            return dy_NO.matmul(products.Join(this));
        }
        var dx_NI = empty(x_NI.shape);
        Each((map, from, count) =>
        {
            using var part = dy_NO.narrow(1, from, count);
            dx_NI.addmm_(part, map.Weight, from == 0 ? 0 : 1, 1);
            if (!map.Weight.requires_grad) return;
            var (gradient, first) = TrainingKernels.GradientOf(map.Weight);
            using (gradient) gradient.addmm_(part.T, x_NI, first ? 0 : 1, 1);
        });
        return dx_NI;
    }

    private void Each(Action<Linear, long, long> what)
    {
        long from = 0;
        foreach (var map in maps)
        {
            what(map, from, map.Weight.shape[0]);
            from += map.Weight.shape[0];
        }
    }
}
