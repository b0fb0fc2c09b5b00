using TorchSharp;
using Xunit;
using static Gradus.LibTorch.Tests.Values;
using static TorchSharp.torch;

namespace Gradus.LibTorch.Tests;

public sealed class PointwiseTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();
    public void Dispose() => _scope.Dispose();

    public static TheoryData<string, Func<Tensor, Tensor>, Func<double, double>> Functions => new()
    {
        { "abs", x => x.abs(), Math.Abs },
        { "neg", x => -x, x => -x },
        { "exp", x => x.exp(), Math.Exp },
        { "expm1", x => x.expm1(), x => Math.Exp(x) - 1 },
        { "log", x => x.abs().log(), x => Math.Log(Math.Abs(x)) },
        { "log1p", x => x.abs().log1p(), x => Math.Log(1 + Math.Abs(x)) },
        { "sqrt", x => x.abs().sqrt(), x => Math.Sqrt(Math.Abs(x)) },
        { "rsqrt", x => x.abs().rsqrt(), x => 1 / Math.Sqrt(Math.Abs(x)) },
        { "reciprocal", x => x.reciprocal(), x => 1 / x },
        { "square", x => x.square(), x => x * x },
        { "pow", x => x.pow(3), x => x * x * x },
        { "sigmoid", x => x.sigmoid(), x => 1 / (1 + Math.Exp(-x)) },
        { "silu", x => nn.functional.silu(x), x => x / (1 + Math.Exp(-x)) },
        { "log_sigmoid", x => x.log_sigmoid(), x => -Math.Log(1 + Math.Exp(-x)) },
        { "tanh", x => x.tanh(), Math.Tanh },
        { "relu", x => x.relu(), x => Math.Max(0, x) },
        { "sin", x => x.sin(), Math.Sin },
        { "cos", x => x.cos(), Math.Cos },
        { "softplus", x => x.softplus(), x => Math.Log(1 + Math.Exp(x)) },
        { "clamp", x => x.clamp(-1, 2.5), x => Math.Clamp(x, -1, 2.5) },
        { "clamp_min", x => x.clamp_min(0.5), x => Math.Max(x, 0.5) },
        { "round", x => x.round(), Math.Round },
        { "floor", x => x.floor(), Math.Floor },
        { "sign", x => x.sign(), x => Math.Sign(x) },
        { "number - x", x => 1 - x, x => 1 - x },
        { "number / x", x => 2.0 / x, x => 2 / x },
        { "x % number", x => x.abs() % 1.5, x => Math.Abs(x) % 1.5 },
        { "x + long", x => x + 2L, x => x + 2 },
        { "x * double", x => x * 0.5, x => x * 0.5 },
        { "x / float", x => x / 4f, x => x / 4 },
        { "x - int", x => x - 1, x => x - 1 },
    };

    [Theory, MemberData(nameof(Functions), DisableDiscoveryEnumeration = true)]
    public void AFunctionOfOneTensor(string name, Func<Tensor, Tensor> function, Func<double, double> expected)
    {
        _ = name;
        double[] values = [0.3, -1.2, 2.6, -0.7, 1.9, 3.4];
        Equal([2, 3], values.Select(expected).ToArray(), function(tensor(values, [2, 3])));
    }

    [Fact]
    public void ArithmeticBroadcasts()
    {
        Tensor a = Matrix(), b = tensor([10f, 20, 30]);
        Equal([2, 3], [11, 18, 33, 14, 25, 24], a + b);
        Equal([2, 3], [-9, -22, -27, -6, -15, -36], a - b);
        Equal([2, 3], [10, -40, 90, 40, 100, -180], a * b);
        Equal([2, 3], [.1, -.1, .1, .4, .25, -.2], a / b);
        Equal([2, 3], [21, 38, 63, 24, 45, 54], a.add(b, 2));
        Equal([2, 3], [10, 20, 30, 10, 20, 30], a.maximum(b));
        Equal([2, 3], [1, -2, 3, 4, 5, -6], a.minimum(b));
    }

    [Fact]
    public void InPlaceOperatorsChangeTheTensorAndReturnIt()
    {
        Tensor a = Matrix(), x = tensor([1f, 2, 3]), y = tensor([2f, 4, 8]);
        Assert.Same(a, a.add_(1));
        Assert.Same(a, a.mul_(2).sub_(x).div_(2));
        Equal([2, 3], [1.5, -2, 2.5, 4.5, 5, -6.5], a);
        Equal([3], [5, 18, 51], x.clone().addcmul_(x, y, 2));
        Equal([3], [1.25, 2.25, 3.1875], x.clone().addcdiv_(x, y, .5));
        Equal([3], [1.5, 3, 5.5], x.lerp(y, full([], .5)));
        Equal([3], [7, 7, 7], x.clone().fill_(7));
        Equal([3], [0, 0, 0], x.clone().zero_());
        Equal([3], [2, 4, 8], x.copy_(y));
        Equal([3], [2, 4, 4], x.clamp_(0, 4));
    }

    [Fact]
    public void ComparisonsGiveBools()
    {
        Tensor a = tensor([1f, 2, 3]), b = tensor([3f, 2, 1]);
        Assert.Equal(ScalarType.Bool, (a < b).dtype);
        Equal([3], [1, 0, 0], a < b);
        Equal([3], [1, 1, 0], a <= b);
        Equal([3], [0, 0, 1], a > 2);
        Equal([3], [0, 1, 1], a >= 2);
        Equal([3], [0, 1, 0], a == b);
        Equal([3], [1, 0, 1], a != b);
        Equal([3], [1, 1, 0], (a == 1) | (a == 2));
        Equal([3], [0, 1, 0], (a > 1) & (a < 3));
        Equal([3], [1, 0, 0], ~(a > 1));
        Assert.True((bool)(a > 0).all());
        Assert.False((bool)(a > 3).any());
        Equal([3], [0, 1, 0], tensor([1f, float.NaN, float.PositiveInfinity]).isnan());
        Equal([3], [1, 0, 0], tensor([1f, float.NaN, float.PositiveInfinity]).isfinite());
        Assert.True(a.allclose(a + 1e-9));
        Assert.True(a.Equals(a.clone()));
        Assert.False(a.Equals(b));
    }

    [Fact]
    public void ChoiceByCondition()
    {
        Tensor a = Matrix();
        Equal([2, 3], [1, 0, 3, 4, 5, 0], where(a > 0, a, zeros(2, 3)));
        Equal([2, 3], [1, -1, 3, 4, 5, -1], a.masked_fill(a < 0, -1));
        Equal([2], [-2, -6], a.masked_select(a < 0));
    }
}
