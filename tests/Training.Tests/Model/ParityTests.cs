using Gradus.Training.Model;
using Gradus.Training.Optimizer;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Model;

/// <summary>What transformers computes with the same weights.</summary>
public sealed class ParityTests
{
    public static TheoryData<string> Folders => ModelCase.Folders();

    [Theory, MemberData(nameof(Folders))]
    public void HiddenStatesAndLogitsAgree(string folder)
    {
        using var expected = new ModelCase(folder);
        using var model = CausalLm.Load(folder);
        using var noGradient = no_grad();
        using var batch = TokenBatch.Create(expected.AllTargets);
        var states = model.HiddenStates(batch);
        for (var i = 0; i < states.Count; i++) Close.Elements(expected.Real($"hidden.{i}"), expected.Real(states[i]), $"hidden.{i}");
        Close.Elements(expected.Real("hidden." + model.Config.Layers), expected.Real(model.Hidden(batch)), "Hidden");
        Close.Elements(expected.Real("logits"), model.Logits(expected.Real(model.Hidden(batch))), "logits");
    }

    [Theory, MemberData(nameof(Folders))]
    public void LogProbabilitiesAndEntropyAgree(string folder)
    {
        using var expected = new ModelCase(folder);
        using var model = CausalLm.Load(folder);
        using var noGradient = no_grad();
        using var batch = TokenBatch.Create(expected.AllTargets);
        var (logProbs, entropy) = LogProbs.Of(model, model.Hidden(batch), batch, 1);
        Close.Elements(expected.Real("token_logprobs", without: 1), logProbs, "log-probabilities");
        Close.Elements(expected.Real("entropy", without: 1), entropy, "entropy");
    }

    [Theory, MemberData(nameof(Folders))]
    public void LossAndEveryGradientAgree(string folder)
    {
        using var expected = new ModelCase(folder);
        using var model = CausalLm.Load(folder);
        using var loss = Loss(model, expected);
        Assert.Equal(expected.Figures.GetProperty("loss").GetDouble(), loss.item<float>(), 1e-4);
        loss.backward();
        foreach (var (name, gradient) in model.Parameters.SelectMany(parameter => ModelCase.Parts(parameter.Key, parameter.Value.grad!))) Close.Norms(expected.Expected("grad." + name), gradient, name);
        var norm = expected.Figures.GetProperty("grad_norm").GetDouble();
        Assert.Equal(norm, Gradients.ClipNorm(model.Parameters, double.PositiveInfinity), 1e-3 * norm);
    }

    [Theory, MemberData(nameof(Folders))]
    public void LayersComputedAgainGiveTheSameGradients(string folder)
    {
        using var scope = NewDisposeScope();
        using var expected = new ModelCase(folder);
        using var plain = CausalLm.Load(folder);
        using var again = CausalLm.Load(folder);
        foreach (var micro in new IReadOnlyList<TokenRow>[] { expected.Labelled, [.. expected.Labelled.Take(1)], [.. expected.Labelled.Skip(1)] })
        {
            var (first, second) = (Backward(plain, micro, recompute: false), Backward(again, micro, recompute: true));
            Assert.Equal(first, second);
            foreach (var (name, weights) in plain.Parameters)
            {
                var difference = (weights.grad! - again[name].grad!).norm().item<float>();
                var exact = micro.Count == 3 || name != WeightNames.Embedding || !plain.Config.TieEmbeddings;
                Assert.InRange(difference, 0, exact ? 0 : 1e-6 * weights.grad!.norm().item<float>());
            }
        }
    }

    [Theory, MemberData(nameof(Folders))]
    public void TenStepsOfAdamWAgree(string folder)
    {
        using var expected = new ModelCase(folder);
        using var model = CausalLm.Load(folder);
        var figures = expected.Figures.GetProperty("adamw");
        var betas = figures.GetProperty("betas");
        using var optimizer = new AdamW(model.Parameters, new AdamWOptions
        {
            Beta1 = betas[0].GetDouble(),
            Beta2 = betas[1].GetDouble(),
            Epsilon = figures.GetProperty("eps").GetDouble(),
            WeightDecay = figures.GetProperty("weight_decay").GetDouble(),
        });
        var losses = figures.GetProperty("losses").EnumerateArray().Select(loss => loss.GetDouble()).ToArray();
        var norms = figures.GetProperty("grad_norms").EnumerateArray().Select(norm => norm.GetDouble()).ToArray();
        for (var step = 0; step < 10; step++)
        {
            using var scope = NewDisposeScope();
            Gradients.Clear(model.Parameters);
            var loss = Loss(model, expected);
            Assert.Equal(losses[step], loss.item<float>(), 1e-3 * losses[step]);
            loss.backward();
            Assert.Equal(norms[step], Gradients.ClipNorm(model.Parameters, figures.GetProperty("max_grad_norm").GetDouble()), 2e-3 * norms[step]);
            optimizer.Step(figures.GetProperty("lr").GetDouble());
        }
        foreach (var (name, weights) in model.Parameters.SelectMany(parameter => ModelCase.Parts(parameter.Key, parameter.Value.detach()))) Close.Norms(expected.Expected("after10." + name), weights, name);
    }

    [Theory, MemberData(nameof(Folders))]
    public void LongPositionsAgree(string folder)
    {
        using var expected = new ModelCase(folder);
        using var model = CausalLm.Load(folder);
        using var noGradient = no_grad();
        using var batch = TokenBatch.Create([new TokenRow([.. expected.Longs("long_input_ids").Select(id => (int)id)], 1)]);
        var hidden = model.Hidden(batch);
        Close.Elements(expected.Expected("long_logits_last8"), model.Logits(hidden.narrow(1, hidden.shape[1] - 8, 8)), "logits");
    }

    [Theory, MemberData(nameof(Folders))]
    public void GreedyTokensWithACacheAgree(string folder)
    {
        using var expected = new ModelCase(folder);
        using var model = CausalLm.Load(folder);
        Assert.Equal(Greedy(expected, "greedy"), Greedy(model, [expected.Tokens[0]]));
        Assert.Equal(Greedy(expected, "greedy_batch"), Greedy(model, expected.Tokens));
    }

    private static int[][] Greedy(ModelCase expected, string name) =>
        [.. expected.Figures.GetProperty(name).EnumerateArray().Select(row => row.EnumerateArray().Select(token => token.GetInt32()).ToArray())];

    /// <summary>All prompts in one cache, of lengths that differ, 24 tokens each.</summary>
    private static int[][] Greedy(CausalLm model, int[][] prompts)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        using var cache = new KvCache(model.Config, prompts.Length, 64);
        var slots = Enumerable.Range(0, prompts.Length).ToArray();
        var fresh = prompts;
        var completions = prompts.Select(_ => new List<int>()).ToArray();
        for (var step = 0; step < 24; step++)
        {
            var counts = fresh.Select(row => row.Length).ToArray();
            var width = counts.Max();
            var ids = tensor(fresh.SelectMany(row => row.Concat(new int[width - row.Length])).Select(id => (long)id).ToArray(), [prompts.Length, width]);
            var hidden = model.Hidden(ids, cache.Begin(slots, counts));
            for (var line = 0; line < prompts.Length; line++)
            {
                completions[line].Add((int)model.Logits(hidden[line, counts[line] - 1]).argmax().item<long>());
            }
            fresh = [.. completions.Select(row => new[] { row[^1] })];
        }
        return [.. completions.Select(row => row.ToArray())];
    }

    private static float Backward(CausalLm model, IReadOnlyList<TokenRow> rows, bool recompute)
    {
        using var scope = NewDisposeScope();
        using var batch = TokenBatch.Create(rows);
        var pass = model.Pass(batch, recompute);
        var loss = -LogProbs.Of(model, pass.Hidden_BTD, batch).logProbs_N.mean();
        pass.Backward(loss);
        return loss.item<float>();
    }

    private static Tensor Loss(CausalLm model, ModelCase expected)
    {
        using var batch = TokenBatch.Create(expected.Labelled);
        var (logProbs, _) = LogProbs.Of(model, model.Hidden(batch), batch, 1);
        return -logProbs.mean();
    }
}
