using Gradus.Training.Lora;
using Gradus.Training.Stages;

namespace Gradus.Training.Sft;

/// <summary>
/// <c>sft</c>: trains a model on given completions. Rows: <c>{"prompt","completion"}</c> or <c>{"messages":[...]}</c> (the loss stands on the completion, or on the
/// last assistant message), or <c>{"text"}</c> (on all of it).
/// </summary>
public sealed record SftOptions : StageOptions
{
    public override Artifact Makes => Artifact.Model;

    /// <summary><c>model</c>: where training starts; an adapter is trained further on its base.</summary>
    public required StageReference Model { get; init; }

    /// <summary><c>adapter</c>: a new adapter on the model is trained, and nothing else; default none.</summary>
    public required AdapterOptions? Adapter { get; init; }

    public required DatasetOptions Data { get; init; }

    public required SupervisedOptions Supervised { get; init; }

    public required LoopOptions Loop { get; init; }

    internal static SftOptions Read(OptionReader reader) => new()
    {
        Model = reader.Reference("model", Artifact.Model),
        Adapter = AdapterOptions.Read(reader),
        Data = DatasetOptions.Read(reader),
        Supervised = SupervisedOptions.Read(reader),
        Loop = LoopOptions.Read(reader, learningRate: 2e-5, scheduler: "linear"),
    };
}

/// <summary>What pretrain and sft share beside the loop.</summary>
public sealed record SupervisedOptions
{
    /// <summary><c>batch_size</c>: rows of one step, 1 to 65,536; default 8 (TRL's per_device_train_batch_size times gradient_accumulation_steps).</summary>
    public required int BatchSize { get; init; }

    /// <summary><c>max_length</c>: tokens of a row, 2 to 131,072; default 1,024 (TRL's). What is longer, or longer than the model's context, is cut at its end.</summary>
    public required int MaxLength { get; init; }

    /// <summary><c>packing</c>: several rows in one line of a batch, none of which sees another; default true. It saves padding and changes no result beyond rounding.</summary>
    public required bool Packing { get; init; }

    /// <summary><c>completion_only_loss</c>: whether the prompt is left out of the loss; default true (TRL's for such rows). Rows of <c>text</c> have no prompt.</summary>
    public required bool CompletionOnlyLoss { get; init; }

    internal static SupervisedOptions Read(OptionReader reader) => new()
    {
        BatchSize = reader.Integer("batch_size", 8, 1, 65_536),
        MaxLength = reader.Integer("max_length", 1024, 2, 131_072),
        Packing = reader.Flag("packing", true),
        CompletionOnlyLoss = reader.Flag("completion_only_loss", true),
    };
}
