using Gradus.Training.Stages;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Stages;

/// <summary>Training leaves no tensor behind, whatever it computes: as many are alive after step 500 as after step 50, and after each between them. The process's memory is Api.Tests'.</summary>
public sealed class LiveTensorTests
{
    private const string Group = """
        {"model":"base","dataset":"problems","max_steps":500,"prompts_per_step":2,"num_generations":4,"max_completion_length":6,"learning_rate":0.0001,"save_steps":100,"beta":0.05,
         "rewards":[{"name":"soft_overlong","max_completion_len":6,"soft_punish_cache":6}],"max_tokens_per_microbatch":60,
        """;

    private const string Supervised = """{"model":"base","dataset":"documents","max_steps":500,"batch_size":4,"learning_rate":0.0001,"save_steps":100,"max_tokens_per_microbatch":100,""";

    [Theory]
    [InlineData("grpo", Group + "\"steps_per_generation\":2,\"num_iterations\":2,\"top_entropy_quantile\":0.5,\"sync_ref_model\":true,\"ref_model_sync_steps\":8,\"max_resamples\":2}")]
    [InlineData("grpo", Group + "\"loss_type\":\"cispo\",\"vllm_importance_sampling_correction\":true,\"dtype\":\"bf16\",\"gradient_checkpointing\":true}")]
    [InlineData("grpo", Group + "\"importance_sampling_level\":\"sequence\",\"loss_type\":\"luspo\",\"steps_per_generation\":2,\"sync_ref_model\":true,\"ref_model_sync_steps\":9,\"adapter\":{\"r\":2}}")]
    [InlineData("sft", Supervised + "\"packing\":true}")]
    [InlineData("sft", Supervised + "\"packing\":false,\"dtype\":\"bf16\",\"gradient_checkpointing\":true,\"adapter\":{\"r\":2,\"lora_dropout\":0.1}}")]
    public void As_many_tensors_live_after_step_500_as_after_step_50(string stage, string options)
    {
        using var stages = new StageHarness().WithBase();
        // What earlier tests left to the finalizers does not count here.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var before = Tensor.TotalCount;
        var journal = new CountingJournal();
        stages.Run(stage, "flat", options, journal, [], stamp: 1);
        Assert.Equal(500, journal.Counts.Count);
        Assert.InRange(Assert.Single(journal.Counts[49..].Distinct()), before + 1, before + 1000);
        Assert.Equal(before, Tensor.TotalCount);
    }

    /// <summary>Counts what is alive at the end of each step, and keeps nothing else.</summary>
    private sealed class CountingJournal : IRunJournal
    {
        public List<long> Counts { get; } = [];

        public bool StopRequested => false;

        public void Progress(string phase)
        {
        }

        public void Event(string level, string message)
        {
        }

        public void Begin(int firstStep, int totalSteps)
        {
        }

        public void CommitStep(StepRecord step) => Counts.Add(Tensor.TotalCount);

        public void CommitCheckpoint(CheckpointRecord checkpoint)
        {
        }
    }
}
