using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Model;
using Xunit;

namespace Gradus.Training.Tests.Model;

public sealed class ModelConfigTests
{
    private const string Llama = """
        {"model_type":"llama","vocab_size":320,"hidden_size":64,"intermediate_size":112,"num_hidden_layers":3,"num_attention_heads":4,"hidden_act":"silu"}
        """;

    [Fact]
    public void OldAndNewFormsOfRotaryParametersAreRead()
    {
        Assert.Equal(10_000, Parse("{}").RopeTheta);
        Assert.Equal(500_000, Parse("""{"rope_theta":500000.0,"rope_scaling":null}""").RopeTheta);
        Assert.Equal(500_000, Parse("""{"rope_parameters":{"rope_type":"default","rope_theta":500000.0}}""").RopeTheta);
    }

    [Fact]
    public void AbsentFieldsHaveTheFamilysDefaults()
    {
        var config = Parse("{}");
        Assert.Equal((4, 16, 2_048, false, false), (config.KeyValueHeads, config.HeadDim, config.MaxPositions, config.TieEmbeddings, config.QkvBias));
        Assert.True(Parse("""{"model_type":"qwen2"}""").QkvBias);
        Assert.Equal(24, Parse("""{"head_dim":24}""").HeadDim);
    }

    [Fact]
    public void EndTokensAreOneOrMany()
    {
        Assert.Equal([2], Parse("""{"eos_token_id":2}""").EndTokens);
        Assert.Equal([2, 7], Parse("""{"eos_token_id":[2,7]}""").EndTokens);
        Assert.Empty(Parse("""{"eos_token_id":null}""").EndTokens);
        Assert.Null(Parse("""{"pad_token_id":-1}""").PadToken);
    }

    [Fact]
    public void TheGenerationConfigsEndTokensCount()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["config.json"], Merged("""{"eos_token_id":2}"""));
        File.WriteAllText(folder["generation_config.json"], """{"eos_token_id":[2,9]}""");
        Assert.Equal([2, 9], ModelConfig.Read(folder.Path).EndTokens);
    }

    [Fact]
    public void AConfigSurvivesItsJson()
    {
        var config = Tiny.Config with { EndTokens = [2, 5], PadToken = null };
        Assert.Equal(config, ModelConfig.Parse(config.ToJson()));
        Assert.NotEqual(config, config with { EndTokens = [2] });
    }

    [Fact]
    public void ParametersAreCounted()
    {
        using var model = CausalLm.Create(Tiny.Config with { TieEmbeddings = false }, 1);
        Assert.Equal(model.Parameters.Sum(parameter => parameter.Value.numel()), model.Config.ParameterCount);
    }

    [Theory]
    [InlineData("""{"model_type":"gpt2"}""", "model_type 'gpt2'")]
    [InlineData("""{"model_type":null}""", "no model_type")]
    [InlineData("""{"hidden_act":"gelu"}""", "hidden_act 'gelu'")]
    [InlineData("""{"attention_bias":true}""", "attention_bias 'true'")]
    [InlineData("""{"mlp_bias":true}""", "mlp_bias 'true'")]
    [InlineData("""{"model_type":"qwen2","use_sliding_window":true,"sliding_window":4096}""", "use_sliding_window 'true'")]
    [InlineData("""{"sliding_window":4096}""", "sliding_window '4096'")]
    [InlineData("""{"layer_types":["full_attention","sliding_attention","full_attention"]}""", "layer_types 'sliding_attention'")]
    [InlineData("""{"rope_scaling":{"rope_type":"llama3","factor":8.0}}""", "rope_type 'llama3'")]
    [InlineData("""{"rope_scaling":{"type":"linear","factor":2.0}}""", "rope_type 'linear'")]
    [InlineData("""{"rope_parameters":{"rope_type":"yarn"}}""", "rope_type 'yarn'")]
    [InlineData("""{"partial_rotary_factor":0.5}""", "partial_rotary_factor '0.5'")]
    [InlineData("""{"quantization_config":{"bits":4}}""", "quantization_config")]
    [InlineData("""{"hidden_size":null}""", "no hidden_size")]
    [InlineData("""{"hidden_size":"64"}""", "hidden_size must not be a string")]
    [InlineData("""{"num_hidden_layers":0}""", "from 1 to 1000, not 0")]
    [InlineData("""{"num_hidden_layers":2.5}""", "not 2.5")]
    [InlineData("""{"num_key_value_heads":3}""", "must divide num_attention_heads (4)")]
    [InlineData("""{"num_attention_heads":5}""", "multiple of num_attention_heads 5")]
    [InlineData("""{"head_dim":15}""", "must be even")]
    [InlineData("""{"rms_norm_eps":-1}""", "rms_norm_eps must be from 0 to 1")]
    public void WhatIsNotSupportedIsRefusedByName(string change, string why) =>
        Assert.Contains(why, Assert.Throws<InvalidInputException>(() => Parse(change)).Message);

    [Fact]
    public void AFolderWithoutAConfigIsRefused()
    {
        using var folder = new TemporaryFolder();
        Assert.Contains("no config.json", Assert.Throws<InvalidInputException>(() => CausalLm.Load(folder.Path)).Message);
        File.WriteAllText(folder["config.json"], "{");
        Assert.Contains("is not JSON", Assert.Throws<InvalidInputException>(() => CausalLm.Load(folder.Path)).Message);
    }

    private static ModelConfig Parse(string change) => ModelConfig.Parse(JsonSerializer.Deserialize<JsonElement>(Merged(change)));

    private static string Merged(string change)
    {
        var json = JsonNode.Parse(Llama)!.AsObject();
        foreach (var (name, value) in JsonNode.Parse(change)!.AsObject()) json[name] = value?.DeepClone();
        return json.ToJsonString();
    }
}
