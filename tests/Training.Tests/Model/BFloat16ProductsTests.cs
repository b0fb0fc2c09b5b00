using Gradus.Training.Model;
using Gradus.Training.Model.Cpu;
using Gradus.Training.Optimizer;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Model;

public sealed class BFloat16ProductsTests
{
    /// <summary>
    /// Without experts: a rounding that turns a choice over changes what is computed, not how exactly. Our own cases alone: the bounds were measured on them and are no reference's figures.
    /// </summary>
    public static TheoryData<string> Folders => [.. ModelCase.Folders().Select(row => row.Data)
        .Where(folder => folder.StartsWith(AppContext.BaseDirectory, StringComparison.Ordinal) && ModelConfig.Read(folder).Experts is null)];

    [Fact]
    public void Factors_are_rounded_to_eight_bits_and_all_else_is_fp32()
    {
        using var scope = NewDisposeScope();
        // 1 + 1/256 lies between two numbers of bf16, 1 and 1 + 1/128; ties go to the even one.
        var weight = tensor(new[] { 1.00390625f, 2f }, [1, 2]).requires_grad_(true);
        var bias = tensor(new[] { 1.00390625f }).requires_grad_(true);
        var x = tensor(new[] { 1f, 3f }, [1, 2]).requires_grad_(true);
        var map = new Linear(weight, bias);
        Tensor y;
        using (new BFloat16Products())
        {
            y = map.Forward(x);
            Assert.Equal((ScalarType.Float32, 8.00390625f), (y.dtype, y.item<float>()));
            (y * 1.00390625f).sum().backward();
        }
        Assert.Equal([1f, 3f], weight.grad!.data<float>().ToArray());
        Assert.Equal([1f, 2f], x.grad!.data<float>().ToArray());
        Assert.Equal([1.00390625f], bias.grad!.data<float>().ToArray());
        Assert.Equal((ScalarType.Float32, ScalarType.Float32), (weight.grad!.dtype, x.grad!.dtype));
        Assert.Equal(8.0078125f, map.Forward(x).item<float>());
    }

    [Fact]
    public void A_weight_is_copied_once_for_all_micro_batches_whose_gradients_add_up_in_fp32()
    {
        using var scope = NewDisposeScope();
        var weight = tensor(new[] { 1f, 2f }, [1, 2]).requires_grad_(true);
        var map = new Linear(weight);
        using var products = new BFloat16Products();
        using (no_grad()) map.Forward(ones(1, 2));
        Assert.Equal(4, products.CopyBytes);
        // 256 + 1 is no number of bf16.
        foreach (var factor in new[] { 256f, 1f }) map.Forward(full([1, 2], factor)).sum().backward();
        Assert.Equal(4, products.CopyBytes);
        Assert.Equal([257f, 257f], weight.grad!.data<float>().ToArray());
        products.Dispose();
        Assert.Equal(0, products.CopyBytes);
    }

    [Fact]
    public void A_layer_s_experts_have_one_copy_however_often_they_are_used()
    {
        using var scope = NewDisposeScope();
        using var model = CausalLm.Create(Families.DeepSeek, 1);
        using var batch = TokenBatch.Create(Tiny.Rows(4, 5, 20));
        using var products = new BFloat16Products();
        model.Hidden(batch).sum().backward();
        var bytes = products.CopyBytes;
        model.Hidden(batch).sum().backward();
        Assert.Equal(bytes, products.CopyBytes);
        Assert.True(model["model.layers.1.mlp.experts.up_proj.weight"].grad!.abs().sum().item<float>() > 0);
    }

    /// <summary>docs/log.md has the largest distances that were measured.</summary>
    [Theory, MemberData(nameof(Folders))]
    public void Ten_steps_keep_to_the_curve_of_fp32(string folder)
    {
        using var expected = new ModelCase(folder);
        var (full, halved) = (Losses(expected, bfloat16: false), Losses(expected, bfloat16: true));
        Assert.NotEqual(full, halved);
        var furthest = full.Zip(halved, (a, b) => Math.Abs(a - b) / a).Max();
        TestContext.Current.TestOutputHelper!.WriteLine($"furthest {furthest}: {string.Join(' ', full)} / {string.Join(' ', halved)}");
        Assert.InRange(furthest, 0, 0.03);
    }

    [Theory, MemberData(nameof(Folders))]
    public void Every_gradient_keeps_its_direction_and_length(string folder)
    {
        using var scope = NewDisposeScope();
        using var expected = new ModelCase(folder);
        using var model = CausalLm.Load(folder);
        using (new BFloat16Products()) Loss(model, expected).backward();
        var distances = model.Parameters.Select(weights =>
        {
            var reference = expected.Expected("grad." + weights.Key);
            return (weights.Key, Distance: (weights.Value.grad! - reference).norm().item<float>() / reference.norm().item<float>());
        }).OrderByDescending(gradient => gradient.Distance).ToArray();
        TestContext.Current.TestOutputHelper!.WriteLine(string.Join(", ", distances.Take(3)));
        Assert.InRange(distances[0].Distance, 0, 0.08);
    }

    /// <summary>The same two bounds where our own kernels compute the pass, whose activations stay in bf16 between products.</summary>
    [Theory, MemberData(nameof(Folders))]
    public void Kernels_keep_to_the_bounds_of_autograd(string folder)
    {
        using var scope = NewDisposeScope();
        using var expected = new ModelCase(folder);
        Assert.SkipUnless(KernelPass.Supports(ModelConfig.Read(folder)), "By autograd here.");
        double[] Curve(bool bfloat16)
        {
            using var model = CausalLm.Load(expected.Folder);
            using var optimizer = new AdamW(model.Parameters, new AdamWOptions());
            return [.. Enumerable.Range(0, 10).Select(_ =>
            {
                using var step = NewDisposeScope();
                Gradients.Clear(model.Parameters);
                using var precision = bfloat16 ? new BFloat16Products() : null;
                var loss = Backward(model, expected);
                Gradients.ClipNorm(model.Parameters, 1);
                optimizer.Step(expected.Figures.GetProperty("adamw").GetProperty("lr").GetDouble());
                return loss;
            })];
        }
        var (full, halved) = (Curve(false), Curve(true));
        Assert.NotEqual(full, halved);
        Assert.InRange(full.Zip(halved, (a, b) => Math.Abs(a - b) / a).Max(), 0, 0.03);
        using var whole = CausalLm.Load(folder);
        using (new BFloat16Products()) Backward(whole, expected);
        foreach (var (name, weight) in whole.Parameters)
        {
            var reference = expected.Expected("grad." + name);
            Assert.True((weight.grad! - reference).norm().item<float>() / reference.norm().item<float>() is >= 0 and <= 0.08f, name);
        }
    }

    private static double Backward(CausalLm model, ModelCase expected)
    {
        using var batch = TokenBatch.Create(expected.Labelled);
        var pass = model.Pass(batch);
        var loss = -pass.LogProbs().LogProbs_N.mean();
        pass.Backward(loss);
        return loss.item<float>();
    }

    private static double[] Losses(ModelCase expected, bool bfloat16)
    {
        using var model = CausalLm.Load(expected.Folder);
        using var optimizer = new AdamW(model.Parameters, new AdamWOptions());
        return [.. Enumerable.Range(0, 10).Select(_ =>
        {
            using var scope = NewDisposeScope();
            Gradients.Clear(model.Parameters);
            using var precision = bfloat16 ? new BFloat16Products() : null;
            var loss = Loss(model, expected);
            loss.backward();
            Gradients.ClipNorm(model.Parameters, 1);
            optimizer.Step(expected.Figures.GetProperty("adamw").GetProperty("lr").GetDouble());
            return (double)loss.item<float>();
        })];
    }

    private static Tensor Loss(CausalLm model, ModelCase expected)
    {
        using var batch = TokenBatch.Create(expected.Labelled);
        return -LogProbs.Of(model, model.Hidden(batch), batch).logProbs_N.mean();
    }
}
