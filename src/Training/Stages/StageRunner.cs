using Gradus.Training.Evaluation;
using Gradus.Training.Export;
using Gradus.Training.Grpo;
using Gradus.Training.Rollouts;
using Gradus.Training.Sft;

namespace Gradus.Training.Stages;

/// <summary>Runs one attempt of one stage on the calling thread, which owns the model until it returns.</summary>
public static class StageRunner
{
    /// <exception cref="InvalidInputException">The options, a row or a model cannot be used.</exception>
    /// <exception cref="StageStoppedException">The stage left as the journal asked: training stages after a checkpoint; the others begin again, with the same draws.</exception>
    /// <exception cref="LeaseLostException">Another attempt owns the job.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled; nothing was saved.</exception>
    public static StageResult Run(StageRequest request, IRunJournal journal, ICatalog catalog, CancellationToken cancellationToken)
    {
        var context = new StageContext(request, journal, catalog, cancellationToken);
        context.Progress("start");
        return StageOptions.Parse(request.Stage, request.Options) switch
        {
            PretrainOptions pretrain => SupervisedStage.Run(pretrain, context),
            SftOptions sft => SupervisedStage.Run(sft, context),
            GrpoOptions grpo => GrpoStage.Run(grpo, context),
            GenerateOptions generate => GenerateStage.Run(generate, context),
            SelectOptions select => SelectStage.Run(select, context),
            RejectionSamplingOptions rejection => RejectionSamplingStage.Run(rejection, context),
            ExportOptions export => ExportStage.Run(export, context),
            EvaluateOptions evaluate => EvaluateStage.Run(evaluate, context),
            var other => throw new NotSupportedException($"{other.GetType().Name} has no stage."),
        };
    }
}
