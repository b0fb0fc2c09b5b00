using Gradus.Training.Optimizer;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Optimizer;

public sealed class AdamWTests : IDisposable
{
    private readonly DisposeScope scope = NewDisposeScope();

    [Fact]
    public void ClippingInTheUpdateGivesTheBitsOfClippingBefore()
    {
        Tensor before = Weights(1, -2, 3), within = Weights(1, -2, 3);
        using AdamW first = new([new("w", before)], new AdamWOptions()), second = new([new("w", within)], new AdamWOptions());
        for (var step = 1; step <= 3; step++)
        {
            (before.grad, within.grad) = (tensor(new[] { .3f, -5, step }), tensor(new[] { .3f, -5, step }));
            var norm = Gradients.Norm([new("w", within)]);
            Assert.Equal(norm, Gradients.ClipNorm([new("w", before)], 1));
            first.Step(.1);
            second.Step(.1, Gradients.Factor(norm, 1));
        }
        Assert.Equal(Numbers(before), Numbers(within));
        Assert.Equal(3f, within.grad![2].item<float>());
    }

    [Fact]
    public void StepsFollowTheFormula()
    {
        var options = new AdamWOptions { Beta1 = .8, Beta2 = .9, Epsilon = 1e-3, WeightDecay = .1 };
        var weights = Weights(1, -2, 3);
        using var optimizer = new AdamW([new("w", weights)], options);
        double[] expected = [1, -2, 3], mean = new double[3], square = new double[3];
        float[][] gradients = [[.5f, -1, 2], [.1f, .2f, -.3f], [-4, 0, 1]];
        for (var step = 1; step <= 3; step++)
        {
            weights.grad = tensor(gradients[step - 1]);
            optimizer.Step(.01 * step);
            for (var i = 0; i < 3; i++)
            {
                double gradient = gradients[step - 1][i];
                mean[i] = (.8 * mean[i]) + (.2 * gradient);
                square[i] = (.9 * square[i]) + (.1 * gradient * gradient);
                expected[i] *= 1 - (.01 * step * .1);
                expected[i] -= .01 * step * (mean[i] / (1 - Math.Pow(.8, step))) / (Math.Sqrt(square[i] / (1 - Math.Pow(.9, step))) + 1e-3);
            }
        }
        for (var i = 0; i < 3; i++) Assert.Equal(expected[i], weights[i].item<float>(), 1e-6);
        Assert.Equal(3, optimizer.Steps);
    }

    [Theory]
    [InlineData(1, true, 0)]
    [InlineData(77, true, 0.1)]
    [InlineData(100_003, true, 0)]
    [InlineData(100_003, false, 0.1)]
    public void TheFusedUpdateGivesTheBitsOfTheTensorOperations(int count, bool withGradient, double decay)
    {
        // Gradients of all sizes, zeros among them, over steps that let the state grow.
        var random = DerivedRandom.For(1, "update");
        Tensor Row(double scale) => tensor(Enumerable.Range(0, count).Select(i => i % 13 == 0 ? 0 : (float)(random.NextGaussian() * Math.Pow(10, -scale * random.NextDouble()))).ToArray());
        Tensor weights = Row(3), mean = zeros(count), square = zeros(count), weights2 = weights.clone(), mean2 = zeros(count), square2 = zeros(count);
        for (var step = 1; step <= 3; step++)
        {
            var factors = new UpdateFactors((float)(1 - (1e-3 * decay)), .9f, (float)(1 - .9), .999f, (float)(1 - .999), (float)Math.Sqrt(1 - Math.Pow(.999, step)), 1e-8f, (float)(-1e-3 / (1 - Math.Pow(.9, step))), step == 2 ? 0.37f : 1);
            var gradient = withGradient || step == 1 ? Row(9) : null;
            FusedUpdate.Run(weights, gradient, mean, square, factors);
            AdamW.Update(weights2, gradient, mean2, square2, factors);
            Assert.Equal(Numbers(mean2), Numbers(mean));
            Assert.Equal(Numbers(square2), Numbers(square));
            Assert.Equal(Numbers(weights2), Numbers(weights));
        }
    }

    [Fact]
    public void AMissingGradientCountsAsZeros()
    {
        var missing = Weights(1, -2, 3);
        var zero = Weights(1, -2, 3);
        using var one = new AdamW([new("w", missing)], new AdamWOptions());
        using var other = new AdamW([new("w", zero)], new AdamWOptions());
        foreach (var gradient in new[] { tensor(new float[] { 1, 2, 3 }), null })
        {
            missing.grad = gradient;
            zero.grad = gradient ?? zeros(3);
            one.Step(.1);
            other.Step(.1);
        }
        Assert.Equal(Numbers(zero), Numbers(missing));
        Assert.Equal(2, one.Steps);
    }

    [Fact]
    public void AStateWrittenBackGoesOnAsBefore()
    {
        var weights = Weights(1, -2, 3);
        var copy = Weights(1, -2, 3);
        using var optimizer = new AdamW([new("w", weights)], new AdamWOptions());
        using var resumed = new AdamW([new("w", copy)], new AdamWOptions());
        weights.grad = tensor(new float[] { 1, 2, 3 });
        optimizer.Step(.1);
        using (no_grad()) copy.copy_(weights);
        foreach (var ((name, from), (same, to)) in optimizer.State.Zip(resumed.State))
        {
            Assert.Equal(name, same);
            to.copy_(from);
        }
        resumed.Resume(optimizer.Steps);
        copy.grad = tensor(new float[] { 1, 2, 3 });
        optimizer.Step(.1);
        resumed.Step(.1);
        Assert.Equal(Numbers(weights), Numbers(copy));
        Assert.Equal(["mean.w", "square.w"], optimizer.State.Select(entry => entry.Key));
    }

    [Fact]
    public void GradientsAreClippedByTheirCommonNorm()
    {
        var (one, other) = (Weights(0, 0), Weights(0));
        KeyValuePair<string, Tensor>[] parameters = [new("one", one), new("other", other), new("none", Weights(1))];
        (one.grad, other.grad) = (tensor(new float[] { 2, 3 }), tensor(new float[] { 6 }));
        Assert.Equal(7, Gradients.ClipNorm(parameters, 10), 1e-5);
        Assert.Equal(6, other.grad!.item<float>());
        Assert.Equal(7, Gradients.ClipNorm(parameters, 3.5), 1e-5);
        Assert.Equal([1f, 1.5f], Numbers(one.grad!).Select(value => MathF.Round(value, 5)));
        Assert.Equal(3.5, Gradients.ClipNorm(parameters, double.PositiveInfinity), 1e-4);
    }

    [Fact]
    public void ANormThatIsNotFiniteScalesNothing()
    {
        var weights = Weights(0, 0);
        KeyValuePair<string, Tensor>[] parameters = [new("w", weights)];
        Assert.Equal(0, Gradients.ClipNorm(parameters, 1));
        weights.grad = tensor(new float[] { 5, float.PositiveInfinity });
        Assert.False(double.IsFinite(Gradients.ClipNorm(parameters, 1)));
        Assert.Equal(5, weights.grad![0].item<float>());
        Gradients.Clear(parameters);
        Assert.Null(weights.grad);
    }

    [Theory]
    [InlineData(1.0, .999, 1e-8, 0, "adam_beta1")]
    [InlineData(.9, -.1, 1e-8, 0, "adam_beta2")]
    [InlineData(.9, .999, 0, 0, "adam_epsilon")]
    [InlineData(.9, .999, 1e-8, double.NaN, "weight_decay")]
    public void OptionsOutOfRangeAreRefused(double beta1, double beta2, double epsilon, double decay, string parameter)
    {
        var options = new AdamWOptions { Beta1 = beta1, Beta2 = beta2, Epsilon = epsilon, WeightDecay = decay };
        Assert.Equal(parameter, Assert.Throws<InvalidInputException>(() => new AdamW([], options)).Parameter);
    }

    public void Dispose() => scope.Dispose();

    private static Tensor Weights(params float[] values) => tensor(values).requires_grad_(true);

    private static float[] Numbers(Tensor tensor) => tensor.detach().data<float>().ToArray();
}
