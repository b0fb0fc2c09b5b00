using Gradus.Training.Model;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Model;

public sealed class FamilyTests
{
    public static TheoryData<string> Names => [.. Families.All.Keys];

    public static TheoryData<string> GroupedQueries => [.. Families.All.Keys.Where(name => Families.All[name].Latent is null)];

    [Theory, MemberData(nameof(GroupedQueries))]
    public void LogProbabilitiesAreThoseOfADecoderOneNumberAtATime(string name)
    {
        using var model = Families.Create(name, 3);
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        int[] tokens = [7, 31, 5, 48, 48, 2, 19, 33, 40, 11, 0, 27];
        using var batch = TokenBatch.Create([new TokenRow(tokens, 1)]);
        var actual = model.Logits(model.Hidden(batch)[0, tokens.Length - 1]).log_softmax(-1).data<float>().ToArray();
        var expected = new ReferenceModel(model).LogProbs(tokens);
        Assert.Equal(expected.Length, actual.Length);
        for (var i = 0; i < expected.Length; i++) Assert.Equal(expected[i], actual[i], 1e-5);
    }

    [Theory, MemberData(nameof(Names))]
    public void AModelSurvivesItsFolder(string name)
    {
        using var folder = new TemporaryFolder();
        using var model = Families.Create(name, 4);
        model.Save(folder.Path);
        using var loaded = CausalLm.Load(folder.Path);
        Assert.Equal(model.Config, loaded.Config);
        Assert.Equal(CausalLmTests.Bytes(model), CausalLmTests.Bytes(loaded));
        Assert.Empty(loaded.LeftOut);
        using var clone = loaded.Clone();
        Assert.Equal(CausalLmTests.Bytes(model), CausalLmTests.Bytes(clone));
        Assert.Equal(model.Parameters.Sum(parameter => parameter.Value.numel()), model.Config.ParameterCount);
    }

    [Fact]
    public void ExpertsStandEachForItselfInTheFileAndTheCorrectionIsNotTrained()
    {
        using var folder = new TemporaryFolder();
        using var model = Families.Create("deepseek_v3", 5);
        model.Save(folder.Path);
        using var file = Safetensors.Open(folder.Path);
        using var scope = NewDisposeScope();
        Assert.Equal([20, 32], file.Shape("model.layers.2.mlp.experts.7.up_proj.weight"));
        Assert.Equal(0, (file.Read("model.layers.2.mlp.experts.7.up_proj.weight") - model["model.layers.2.mlp.experts.up_proj.weight"].detach()[7]).abs().max().item<float>());
        Assert.Equal([8], file.Shape("model.layers.1.mlp.gate.e_score_correction_bias"));
        Assert.DoesNotContain(model.Parameters, parameter => parameter.Key.EndsWith("e_score_correction_bias", StringComparison.Ordinal));
        Assert.False(file.Contains("model.layers.0.mlp.gate.weight"));
    }

    [Theory]
    [InlineData("model.layers.1.self_attn.q_norm.weight")]
    [InlineData("model.layers.0.mlp.up_proj.bias")]
    [InlineData("model.layers.3.input_layernorm.weight")]
    [InlineData("v_head.weight")]
    public void AWeightThatNothingComputesWithIsRefusedByName(string extra)
    {
        using var folder = new TemporaryFolder();
        Write(folder, Families.All["llama, untied, odd widths"], extra);
        Assert.Contains($"'{extra}'", Assert.Throws<InvalidInputException>(() => CausalLm.Load(folder.Path)).Message);
    }

    [Fact]
    public void AConfigThatAsksForMoreThanTheFileHoldsTakesNoMemory()
    {
        using var folder = new TemporaryFolder();
        Write(folder, Families.All["llama"]);
        File.WriteAllText(folder["config.json"], File.ReadAllText(folder["config.json"]).Replace("\"vocab_size\": 62", "\"vocab_size\": 10000000", StringComparison.Ordinal).Replace("\"hidden_size\": 128", "\"hidden_size\": 65536", StringComparison.Ordinal));
        Assert.Contains("'model.embed_tokens.weight' must have the shape [10000000, 65536], not [62, 128]", Assert.Throws<InvalidInputException>(() => CausalLm.Load(folder.Path)).Message);
    }

    [Fact]
    public void OldTablesAndATiedHeadAreLeftOutAndLayersForFurtherTokensNamed()
    {
        using var folder = new TemporaryFolder();
        Write(folder, Families.All["llama"], "model.layers.0.self_attn.rotary_emb.inv_freq", "lm_head.weight");
        CausalLm.Load(folder.Path).Dispose();
        Write(folder, Families.DeepSeek with { NextTokenLayers = 1 }, "model.layers.3.eh_proj.weight", "model.layers.3.mlp.experts.0.up_proj.weight");
        File.WriteAllText(folder["config.json"], File.ReadAllText(folder["config.json"]).Replace("\"num_nextn_predict_layers\": 0", "\"num_nextn_predict_layers\": 1", StringComparison.Ordinal));
        using var model = CausalLm.Load(folder.Path);
        Assert.Equal(["model.layers.3"], model.LeftOut);
    }

    private static void Write(TemporaryFolder folder, ModelConfig config, params string[] extra)
    {
        using var model = CausalLm.Create(config, 1);
        model.Save(folder.Path);
        using var scope = NewDisposeScope();
        Safetensors.Write(folder["model.safetensors"], model.Stored.Concat(extra.Select(name => KeyValuePair.Create(name, ones(2)))));
    }
}
