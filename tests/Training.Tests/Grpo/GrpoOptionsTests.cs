using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training.Grpo;
using Gradus.Training.Rewards;
using Gradus.Training.Stages;
using Xunit;

namespace Gradus.Training.Tests.Grpo;

public sealed class GrpoOptionsTests
{
    [Fact]
    public void Defaults_are_trls()
    {
        var loss = Parse("{}").Loss;
        Assert.Equal(new GrpoLossOptions(), loss);
        Assert.Equal(("dapo", 0.0, 0.2, 0.2, false, false, 1.0), (loss.LossType, loss.Beta, loss.Epsilon, loss.EpsilonHigh, loss.SequenceLevel, loss.MaskTruncated, loss.TopEntropyQuantile));
        Assert.Equal(1, Parse("{}").UpdatesPerBatch);
    }

    [Fact]
    public void The_reference_is_replaced_as_often_as_in_the_paper() =>
        Assert.Equal((400, null), (Parse("""{"beta":0.001,"sync_ref_model":true,"max_steps":401}""").RefModelSyncSteps, Parse("""{"beta":0.001}""").RefModelSyncSteps));

    [Fact]
    public void A_punishment_that_begins_within_the_completion_is_taken() =>
        Parse("""{"max_completion_length":17,"rewards":[{"name":"soft_overlong","max_completion_len":20,"soft_punish_cache":4}]}""");

    [Fact]
    public void Updates_are_minibatches_times_passes() =>
        Assert.Equal(32, Parse("""{"prompts_per_step":32,"num_generations":16,"steps_per_generation":16,"num_iterations":2}""").UpdatesPerBatch);

    [Fact]
    public void The_cap_of_cispo_is_absolute_and_has_its_own_range()
    {
        Assert.Equal(5, Parse("""{"loss_type":"cispo"}""").Loss.EpsilonHigh);
        Assert.Equal(100, Parse("""{"loss_type":"cispo","epsilon_high":100}""").Loss.EpsilonHigh);
        Assert.Contains("from 1 to 1000", Assert.Throws<InvalidInputException>(() => Parse("""{"loss_type":"cispo","epsilon_high":0.2}""")).Message, StringComparison.Ordinal);
        Assert.Contains("from 0 to 10", Assert.Throws<InvalidInputException>(() => Parse("""{"loss_type":"dapo","epsilon_high":100}""")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_importance_correction_is_off_caps_at_3_and_its_cap_alone_is_refused()
    {
        Assert.Null(Parse("{}").Loss.ImportanceCap);
        Assert.Equal(3, Parse("""{"vllm_importance_sampling_correction":true}""").Loss.ImportanceCap);
        Assert.Equal(2, Parse("""{"vllm_importance_sampling_correction":true,"vllm_importance_sampling_cap":2}""").Loss.ImportanceCap);
        Assert.Equal("options.vllm_importance_sampling_cap", Assert.Throws<InvalidInputException>(() => Parse("""{"vllm_importance_sampling_cap":2}""")).Parameter);
    }

    [Fact]
    public void Reward_weights_are_the_rewards_weights()
    {
        var options = Parse("""{"rewards":[{"name":"format"},{"name":"accuracy"}],"reward_weights":[0.5,-2]}""");
        Assert.Equal([0.5, -2], Rubric.FromOptions(options.Rewards).Weights);
    }

    [Theory]
    [InlineData("""{"num_generations":1}""", "num_generations")]
    [InlineData("""{"prompts_per_step":1,"num_generations":4,"steps_per_generation":8}""", "steps_per_generation")] // more minibatches than rollouts
    [InlineData("""{"prompts_per_step":3,"num_generations":4,"steps_per_generation":5}""", "steps_per_generation")]
    [InlineData("""{"generation_batch_size":10,"num_generations":4}""", "generation_batch_size")]
    [InlineData("""{"num_iterations":0}""", "num_iterations")]
    [InlineData("""{"loss_type":"ppo"}""", "loss_type")]
    [InlineData("""{"loss_type":"luspo"}""", "importance_sampling_level")]
    [InlineData("""{"loss_type":"cispo","epsilon":0.2}""", "epsilon")]
    [InlineData("""{"loss_type":"cispo","delta":2}""", "delta")]
    [InlineData("""{"loss_type":"sapo","epsilon_high":0.2}""", "epsilon_high")]
    [InlineData("""{"loss_type":"sapo","sapo_temperature_pos":0}""", "sapo_temperature_pos")]
    [InlineData("""{"sapo_temperature_neg":1}""", "sapo_temperature_neg")]
    [InlineData("""{"top_entropy_quantile":0}""", "top_entropy_quantile")]
    [InlineData("""{"beta":-1}""", "beta")]
    [InlineData("""{"max_resamples":101}""", "max_resamples")]
    [InlineData("""{"max_completion_length":16,"rewards":[{"name":"soft_overlong","max_completion_len":20,"soft_punish_cache":4}]}""", "rewards")]
    [InlineData("""{"sync_ref_model":true}""", "sync_ref_model")]
    [InlineData("""{"beta":0.1,"ref_model_sync_steps":10}""", "ref_model_sync_steps")]
    [InlineData("""{"beta":0.1,"sync_ref_model":true,"ref_model_sync_steps":0}""", "ref_model_sync_steps")]
    [InlineData("""{"beta":0.1,"sync_ref_model":true,"max_steps":400}""", "ref_model_sync_steps")] // never replaced while it is needed
    [InlineData("""{"min_lr_ratio":0.5}""", "min_lr_ratio")] // the schedule is constant
    [InlineData("""{"prompts_per_step":65536,"num_generations":17}""", "prompts_per_step")]
    [InlineData("""{"rewards":[{"name":"format"},{"name":"accuracy"}],"reward_weights":[0,0]}""", "rewards")]
    [InlineData("""{"delta":0.5}""", "delta")]
    [InlineData("""{"scale_rewards":"yes"}""", "scale_rewards")]
    [InlineData("""{"temperature":0}""", "temperature")]
    [InlineData("""{"reward_weights":[1,2]}""", "reward_weights")]
    [InlineData("""{"reward_weights":["1"]}""", "reward_weights[0]")]
    [InlineData("""{"rewards":[{"name":"format","weight":1}],"reward_weights":[1]}""", "reward_weights[0]")]
    public void What_has_no_meaning_is_refused_where_it_stands(string change, string parameter) => Assert.Equal($"options.{parameter}", Assert.Throws<InvalidInputException>(() => Parse(change)).Parameter);

    private static GrpoOptions Parse(string change)
    {
        var json = JsonNode.Parse("""{"model":"m","dataset":"d","rewards":[{"name":"format"}]}""")!.AsObject();
        foreach (var (name, value) in JsonNode.Parse(change)!.AsObject()) json[name] = value?.DeepClone();
        return (GrpoOptions)StageOptions.Parse("grpo", JsonSerializer.SerializeToElement(json));
    }
}
