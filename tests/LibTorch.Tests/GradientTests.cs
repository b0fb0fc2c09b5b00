using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.LibTorch.Tests;

/// <summary>Gradients against central differences in double precision: (f(x+h) - f(x-h)) / 2h.</summary>
public sealed class GradientTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();
    public void Dispose() => _scope.Dispose();

    private static readonly double[] Start = [0.3, -1.2, 2.6, -0.7, 1.9, 3.4, 0.8, -0.4, 1.1, -2.2, 0.6, 1.7];

    public static TheoryData<string, Func<Tensor, Tensor>> Functions => new()
    {
        { "matmul", x => x.matmul(x.t()) },
        { "bmm", x => x.view(2, 2, 3).bmm(x.view(2, 3, 2)) },
        { "linear", x => nn.functional.linear(x, x.narrow(0, 0, 2), x.view(-1)[..2]) },
        { "softmax", x => x.softmax(-1) },
        { "log_softmax", x => x.log_softmax(1) },
        { "logsumexp", x => x.logsumexp(1) },
        { "silu", x => nn.functional.silu(x) },
        { "sigmoid", x => x.sigmoid() },
        { "tanh", x => x.tanh() },
        { "rms norm", x => x * (x.square().mean([-1], keepdim: true) + 1e-6).rsqrt() },
        { "exp log sqrt", x => (x.exp() + 1).log() + x.abs().sqrt() },
        { "pow", x => x.pow(3) / 2 + x.abs().pow(1.5) },
        { "division", x => x / (x.square() + 1) + 1 / (x.square() + 2) },
        { "clamp and minimum", x => x.clamp(-1, 1.5).minimum(x * 0.5) },
        { "where and masked_fill", x => where(x > 0, x * x, x) + x.masked_fill(x < 0, 0.25) },
        { "embedding by index_select", x => x.index_select(0, tensor([1L, 3, 1, 1])) },
        { "index", x => x[tensor([0L, 3, 3]), tensor([2L, 0, 0])] },
        { "gather", x => x.gather(1, tensor([2L, 0, 1, 1], [4, 1])) },
        { "scatter", x => zeros([4, 3], ScalarType.Float64).scatter(1, tensor([2L, 0, 1, 1], [4, 1]), x.narrow(1, 0, 1)) },
        { "cat, stack, split, chunk", x => cat([stack([x, x * 2]).select(0, 1), x.split(2)[0], x.chunk(2)[1]], 0) },
        { "views", x => x.view(2, 2, 3).transpose(0, 1).permute(2, 0, 1).reshape(3, 4).unsqueeze(0).expand(2, 3, 4).contiguous() },
        { "slices", x => x[1.., TensorIndex.Slice(step: 2)] * x[..3, 1..] },
        { "sums", x => x.sum(dim: 0) * x.mean([1]).sum() + x.std(1).sum() + x.norm() },
        { "cumsum", x => x.cumsum(0) },
        { "max", x => x.max(1).Item1 + x.amax(1) },
        { "attention", x => nn.functional.scaled_dot_product_attention(x.view(1, 2, 2, 3), x.view(1, 2, 2, 3), x.view(1, 2, 2, 3), is_casual: true) },
        { "cross entropy", x => nn.functional.cross_entropy(x, tensor([0L, 2, -100, 1])) },
        { "double step through detach", x => x.detach() * x },
        { "sin cos", x => x.sin() * x.cos() },
        { "in place on an intermediate", x => (x * 2).add_(x).mul_(x) },
        { "index_copy", x => zeros([4, 3], ScalarType.Float64).index_copy(0, tensor([2L, 0, 1, 3]), x) },
        { "index_add", x => zeros([2, 3], ScalarType.Float64).index_add(0, tensor([1L, 0, 1, 1]), x, 1) },
        { "addcmul", x => x.addcmul(x, x, 0.5) },
        { "repeat_interleave", x => x.repeat_interleave(2, 1) },
    };

    [Theory, MemberData(nameof(Functions), DisableDiscoveryEnumeration = true)]
    public void TheGradientIsTheSlope(string name, Func<Tensor, Tensor> function)
    {
        // Distinct weights per output, so that no two errors cancel.
        Tensor Loss(Tensor x)
        {
            var y = function(x).flatten();
            return (y * linspace(0.5, 1.5, y.numel(), ScalarType.Float64)).sum();
        }
        using var x = tensor(Start, [4, 3], requires_grad: true);
        Loss(x).backward();
        double[] gradient = x.grad!.data<double>().ToArray();
        // A detached factor is a constant to the gradient.
        bool halved = name.Contains("detach", StringComparison.Ordinal);
        const double H = 1e-6;
        for (int k = 0; k < Start.Length; k++)
        {
            double At(double shift)
            {
                double[] moved = [.. Start];
                moved[k] += shift;
                return Loss(tensor(moved, [4, 3])).item<double>();
            }
            double slope = (At(H) - At(-H)) / (2 * H) / (halved ? 2 : 1);
            Assert.True(Math.Abs(slope - gradient[k]) < 1e-6 * Math.Max(1, Math.Abs(slope)), $"{name}, element {k}: slope {slope}, gradient {gradient[k]}");
        }
    }

    [Fact]
    public void GradientsAddUpUntilTheyAreTakenAway()
    {
        Tensor x = Values.Double([2], 1);
        (x * x).sum().backward();
        (x * x).sum().backward();
        Values.Equal([1], [8], x.grad!);
        x.grad = null;
        Assert.Null(x.grad);
        x.grad = tensor([5.0]);
        (x * 3).sum().backward();
        Values.Equal([1], [8], x.grad!);
        using Tensor g = x.grad!;
        g.mul_(2);
        Values.Equal([1], [16], x.grad!);
    }

    [Fact]
    public void GradientsOfSeveralRootsAndOfNamedInputs()
    {
        Tensor x = Values.Double([1, 2], 2);
        autograd.backward([x.square(), x * 3], [tensor([1.0, 1]), tensor([10.0, 100])]);
        Values.Equal([2], [32, 304], x.grad!);
        var grads = autograd.grad([(x * x * x).sum()], [x]);
        Values.Equal([2], [3, 12], grads[0]);
        Values.Equal([2], [32, 304], x.grad!);
    }

    [Fact]
    public void NoGraphWhereNoneIsAsked()
    {
        Tensor x = Values.Double([1], 1);
        Assert.True((x * 2).requires_grad);
        Assert.True(x.is_leaf);
        Assert.False((x * 2).is_leaf);
        using (no_grad())
        {
            Assert.False(is_grad_enabled());
            Assert.False((x * 2).requires_grad);
            using (enable_grad()) Assert.True((x * 2).requires_grad);
            Assert.False(is_grad_enabled());
        }
        Assert.True(is_grad_enabled());
        using (inference_mode())
        {
            Assert.True(is_inference_mode_enabled());
            Assert.False((x * 2).requires_grad);
        }
        Assert.False(is_inference_mode_enabled());
        Assert.False((x.detach() * 2).requires_grad);
        Tensor y = x * 2;
        y.retain_grad();
        y.sum().backward();
        Values.Equal([1], [1], y.grad!);
    }
}
