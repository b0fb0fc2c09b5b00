using Gradus.Training.Lora;
using Gradus.Training.Model;
using Gradus.Training.Optimizer;
using Gradus.Training.Sft;
using Gradus.Training.Stages;
using Gradus.Training.Tests.Model;
using Gradus.Training.Tests.Stages;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Lora;

public sealed class AdapterTests
{
    [Fact]
    public void A_new_adapter_changes_nothing_and_comes_from_the_seed_alone()
    {
        using CausalLm model = CausalLm.Create(Tiny.Config, 5), same = With("""{"target_modules":"all-linear"}""", 7), again = With("""{"target_modules":"all-linear"}""", 7), other = With("""{"target_modules":"all-linear"}""", 8);
        Assert.Equal(CausalLmTests.Bytes(same), CausalLmTests.Bytes(again));
        Assert.NotEqual(CausalLmTests.Bytes(same), CausalLmTests.Bytes(other));
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        using var batch = TokenBatch.Create(Tiny.Rows(3, 4, 9));
        Assert.Equal(0, (model.Hidden(batch) - same.Hidden(batch)).abs().max().item<float>());
        var map = same.Linears["model.layers.1.mlp.down_proj"].Adapter!;
        // Uniform within 1 / sqrt(inputs), as PyTorch begins a linear map.
        var bound = 1 / Math.Sqrt(Tiny.Config.FeedForwardSize);
        Assert.Equal(bound, map.A.abs().max().item<float>(), bound / 20);
        Assert.Equal(bound / Math.Sqrt(3), map.A.std().item<float>(), bound / 20);
        Assert.Equal(0, map.B.abs().max().item<float>());
        using var gaussian = With("""{"target_modules":"all-linear","init_lora_weights":"gaussian"}""", 7);
        Assert.Equal(1 / 8.0, gaussian.Linears["model.layers.1.mlp.down_proj"].Adapter!.A.std().item<float>(), .01);
    }

    [Fact]
    public void Steps_leave_no_tensors_behind()
    {
        using var model = With("""{"target_modules":"all-linear","lora_dropout":0.2}""", 7);
        using var optimizer = new AdamW(model.Parameters, new AdamWOptions());
        void Step(int step)
        {
            using (model.Adapter!.Drop(7, step, 0)) CausalLmTests.Step(model, optimizer, step);
            using var scope = NewDisposeScope();
            using var noGradient = no_grad();
            using var off = model.With(null);
            using var batch = TokenBatch.Create(Tiny.Rows(2, 4, 9));
            _ = model.Hidden(batch);
        }

        Step(1);
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var before = Tensor.TotalCount;
        for (var step = 2; step <= 6; step++) Step(step);
        Assert.Equal(before, Tensor.TotalCount);
        model.Adapter!.Clone().Dispose();
        Assert.Equal(before, Tensor.TotalCount);
    }

    [Fact]
    public void Dropout_drops_its_share_keeps_the_mean_and_is_drawn_from_its_place_alone()
    {
        using var model = With("""{"r":1,"lora_alpha":1,"lora_dropout":0.25,"target_modules":["q_proj"]}""", 7);
        var map = model.Linears["model.layers.0.self_attn.q_proj"].Adapter!;
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        // A picks one input, B repeats it: what comes out is the mask at that input.
        map.A.zero_().narrow(1, 3, 1).fill_(1);
        map.B.fill_(1);
        float[] Masked(int step, int micro)
        {
            using var drop = model.Adapter!.Drop(7, step, micro);
            return map.Forward(ones([20_000, Tiny.Config.HiddenSize])).select(1, 0).contiguous().data<float>().ToArray();
        }

        var values = Masked(1, 0);
        Assert.Equal(0.25, values.Count(value => value == 0) / 20_000.0, 0.015);
        Assert.All(values, value => Assert.True(value is 0 || Math.Abs(value - (1 / 0.75f)) < 1e-6));
        Assert.Equal(values, Masked(1, 0));
        Assert.NotEqual(values, Masked(2, 0));
        Assert.NotEqual(values, Masked(1, 1));
        Assert.All(map.Forward(ones([5, Tiny.Config.HiddenSize])).select(1, 0).contiguous().data<float>().ToArray(), value => Assert.Equal(1, value));
    }

    /// <summary>The tiny model with a new adapter.</summary>
    internal static CausalLm With(string adapter, long seed)
    {
        var model = CausalLm.Create(Tiny.Config, 5);
        var options = (SftOptions)StageOptions.Parse("sft", StageHarness.Json($$"""{"model":"m","dataset":"d","adapter":{{adapter}}}"""));
        model.Attach(Adapter.Create(options.Adapter!, model, "m", seed));
        return model;
    }
}
